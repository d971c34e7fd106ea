"""The rules of sending: which quality a budget pays for, what is given up when the disk's share is full."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.device.capture.budget import BEST, WORST, Budget, Window, advance, quality
from hemaloop.device.capture.cameras.frame import Frame
from hemaloop.device.capture.dropping import Waiting, victims
from hemaloop.device.capture.spool import Spool, capture_id
from hemaloop.device.home import DeviceSettings
from hemaloop.device.journal import Journal
from hemaloop.errors import DataError, TransientError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SETTINGS = DeviceSettings("pi-1", "file:///nowhere", "stable")
DAY = 86400.0
LIMIT = 1_000_000

spent = st.integers(0, 2 * LIMIT)
seconds = st.floats(0, DAY)


@given(spent, spent, seconds, seconds)
def test_more_left_never_gives_a_worse_picture_and_more_time_to_go_never_a_better(
    one: int, other: int, sooner: float, later: float
) -> None:
    less, more = sorted((one, other))
    short, long = sorted((sooner, later))
    assert WORST <= quality(less, long, LIMIT, DAY) <= quality(more, long, LIMIT, DAY) <= BEST
    assert quality(less, long, LIMIT, DAY) <= quality(less, short, LIMIT, DAY)


@given(seconds)
def test_who_spends_evenly_sends_the_best_and_who_has_spent_all_the_worst(left: float) -> None:
    assert quality(round(LIMIT * left / DAY) + 1, left, LIMIT, DAY) == BEST
    if left > 0:
        assert quality(0, left, LIMIT, DAY) == WORST


@given(st.lists(st.floats(-DAY, 3 * DAY), max_size=20), st.integers(0, LIMIT))
def test_a_window_moves_forwards_alone_and_forgets_what_was_spent_only_at_its_end(
    steps: list[float], spent: int
) -> None:
    window = Window(0.0, spent)
    for step in steps:
        after = advance(window, step, DAY)
        assert 0 <= after.elapsed < DAY
        assert after.spent == (window.spent if window.elapsed + max(0.0, step) < DAY else 0)
        window = after


class Clocks:
    """A wall clock that jumps, and one that only goes on."""

    def __init__(self) -> None:
        self.wall, self.steady = NOON, 0.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.steady


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as journal:
        yield journal


def budget(journal: Journal, clocks: Clocks) -> Budget:
    return Budget(journal, LIMIT, DAY, clocks.now, clocks.monotonic)


def test_a_wall_clock_that_jumps_makes_no_budget(journal: Journal, clocks: Clocks) -> None:
    ours = budget(journal, clocks)
    ours.spend(LIMIT)
    for year in (1970, 2099, 2026):
        clocks.wall = clocks.wall.replace(year=year)
        assert not ours.pays(1)
    clocks.steady += DAY / 2
    assert not ours.pays(1)
    clocks.steady += DAY / 2
    assert ours.pays(LIMIT)


def test_what_was_spent_is_remembered_and_a_restart_in_another_year_gives_one_day_at_most(
    journal: Journal, clocks: Clocks
) -> None:
    budget(journal, clocks).spend(LIMIT - 10)
    again = budget(journal, clocks)
    assert (again.pays(10), again.pays(11)) == (True, False)
    clocks.wall = NOON.replace(year=1970)
    assert not budget(journal, clocks).pays(11)
    clocks.wall = NOON + timedelta(hours=23)
    assert not budget(journal, clocks).pays(11)
    clocks.wall = NOON.replace(year=2099)
    assert budget(journal, clocks).pays(LIMIT)


def test_without_a_budget_all_is_paid_and_what_is_larger_than_one_still_goes(journal: Journal, clocks: Clocks) -> None:
    free = Budget(journal, None, DAY, clocks.now)
    assert (free.pays(10**12), free.quality(), free.left()) == (True, None, None)
    assert budget(journal, clocks).pays(2 * LIMIT), "else it would wait for ever"


waiting = st.builds(
    Waiting,
    st.integers(0, 10**6).map(lambda number: f"{number:07d}"),
    st.integers(1, 100),
    st.floats(0, 1),
    st.booleans(),
)
images = st.lists(waiting, max_size=12, unique_by=lambda each: each.capture)


@given(images, st.integers(1, 500), st.none() | st.floats(0, 1))
def test_only_what_is_needed_goes_and_never_what_is_worth_more_than_what_stays(
    spooled: list[Waiting], needed: int, worth: float | None
) -> None:
    given_up = victims(spooled, needed, worth)
    allowed = [each for each in spooled if each.uploaded or (worth is not None and each.worth <= worth)]
    if given_up is None:
        assert sum(each.bytes for each in allowed) < needed
        return
    assert set(given_up) <= set(allowed)
    assert sum(each.bytes for each in given_up) >= needed
    assert sum(each.bytes for each in given_up[:-1]) < needed, "no more than is needed"
    for stays in set(allowed) - set(given_up):
        assert (not stays.uploaded, 0 if stays.uploaded else stays.worth, stays.capture) > (
            not given_up[-1].uploaded,
            0 if given_up[-1].uploaded else given_up[-1].worth,
            given_up[-1].capture,
        )


def frame(name: str, data: bytes = b"image", at: datetime = NOON) -> Frame:
    return Frame(name, at, ".jpg", data)


def captures(spool: Spool) -> list[str]:
    return [each.capture for each in spool.to_upload()]


def test_a_full_spool_gives_up_the_oldest_of_the_least_worth_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool, told = Spool(tmp_path, 15), list[Waiting]()
    for number, worth in enumerate((0.9, 0.5, 0.5)):
        spool.add(frame(f"{number}", at=NOON + timedelta(seconds=number)), SETTINGS, worth, told.append)
    oldest = captures(spool)[1]
    spool.add(frame("3", at=NOON + timedelta(seconds=3)), SETTINGS, 0.6, told.append)
    assert [each.capture for each in told] == [oldest]
    assert f"{oldest} is given up: it will never be uploaded" in caplog.text
    assert oldest not in captures(spool)
    assert (len(captures(spool)), spool.usage().bytes) == (3, 15)
    with pytest.raises(TransientError, match="is full"):
        spool.add(frame("4"), SETTINGS, 0.4, told.append)
    assert len(told) == 1
    assert Spool(tmp_path, 15).usage() == spool.usage()


@settings(max_examples=25, deadline=None)  # it works on the disk
@given(st.lists(st.tuples(st.sampled_from("aaauc"), st.integers(1, 40)), max_size=25))
def test_the_spool_never_takes_more_than_its_share(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), 100)
        for number, (step, size) in enumerate(steps):
            if step == "a":
                spool.add(frame(str(number), b"x" * size), SETTINGS, 1.0)
            elif step == "u" and spool.to_upload():
                spool.uploaded(spool.to_upload()[size % len(spool.to_upload())])
            elif step == "c" and spool.to_classify():
                spool.classified(spool.to_classify()[size % len(spool.to_classify())])
            paths = {path.name: path.stat().st_size for path in Path(folder).rglob("*.jpg")}
            assert spool.usage().bytes == sum(paths.values()) <= 100


@given(
    st.lists(
        st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)) | st.just(NOON), max_size=30
    )
)
def test_capture_ids_are_unique_and_in_the_clocks_order_whatever_it_says(times: list[datetime]) -> None:
    ids = [capture_id(frame(f"run:{number}", b"the same", at)) for number, at in enumerate(times)]
    assert len(set(ids)) == len(ids)
    assert [each[:23] for each in sorted(ids)] == sorted(each[:23] for each in ids)
    ordered = sorted(range(len(times)), key=lambda number: ids[number])
    assert [times[number] for number in ordered] == sorted(times)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("camera_size", "big"), ("camera_rate", 0.0), ("camera_seconds", 0.0), ("min_new", 1.5), ("min_focus", -1.0),
        ("budget_bytes", 0), ("budget_per", "week"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(DataError, match=field):
        replace(SETTINGS, **{field: value})  # type: ignore[arg-type]
