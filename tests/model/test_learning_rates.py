"""When training ends and how fast it learns follow from the validation losses alone."""

from hypothesis import given
from hypothesis import strategies as st

from hemaloop.model.feeding import made_ahead
from hemaloop.model.schedules import best_of, rate_on_plateau, stops

LOSSES = st.lists(st.floats(0.01, 100), min_size=1, max_size=30)


@given(LOSSES, st.integers(1, 8))
def test_it_stops_after_as_many_epochs_without_a_better_loss(losses: list[float], patience: int) -> None:
    recent = losses[1:][-patience:]
    waited = len(recent) == patience and min(losses[: len(losses) - patience]) <= min(recent)
    assert stops(losses, patience) == waited


@given(LOSSES)
def test_without_patience_it_never_stops_and_the_best_is_the_first_of_the_lowest(losses: list[float]) -> None:
    assert not stops(losses, 0)
    assert best_of(losses) == losses.index(min(losses))


def test_a_loss_that_is_no_number_is_never_the_best() -> None:
    assert best_of([1.0, float("nan"), 0.5, float("nan")]) == 2
    assert stops([1.0, float("nan"), float("nan")], 2)


def test_the_rate_is_halved_after_every_three_epochs_in_a_row_without_a_better_loss() -> None:
    rates = [rate_on_plateau(0.1, [5.0, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3][:count]) for count in range(1, 12)]
    assert rates == [0.1] * 7 + [0.05] * 3 + [0.025]


@given(LOSSES)
def test_the_rate_never_rises(losses: list[float]) -> None:
    rates = [rate_on_plateau(1.0, losses[:count]) for count in range(1, len(losses) + 1)]
    assert rates == sorted(rates, reverse=True)


def test_batches_come_in_order_and_the_error_of_one_is_raised_in_its_place() -> None:
    assert list(made_ahead(lambda number: number, 50)) == list(range(50))
    made = made_ahead(lambda number: 6 // (2 - number), 9)
    assert [next(made), next(made)] == [3, 6]
    try:
        next(made)
    except ZeroDivisionError:
        return
    raise AssertionError("the error was swallowed")
