"""Many notifications, few wake-ups; what cannot be handed over is kept, within bounds, and said."""

import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notices import captures

from hemaloop.errors import TransientError
from hemaloop.notifications.gathering import Bounds, Gathering, Times


class Sleeper:
    """Who is to be woken: there, away, or about to begin anyway."""

    def __init__(self) -> None:
        self.woken: list[tuple[str, ...]] = []
        self.away = False
        self.waiting = False
        self.changed = threading.Condition()

    def __call__(self, keys: tuple[str, ...]) -> bool:
        if self.away:
            raise TransientError("nobody is there")
        if self.waiting:
            return False
        with self.changed:
            self.woken.append(keys)
            self.changed.notify_all()
        return True

    @property
    def heard(self) -> list[str]:
        return [key for keys in self.woken for key in keys]


def test_a_thousand_devices_at_once_wake_few_runs() -> None:
    sleeper = Sleeper()
    gathering = Gathering(sleeper, Times(gather=0.2, wait=0.01))
    thread = threading.Thread(target=gathering.run)
    thread.start()
    sent = captures(range(1000))
    for key in sent:
        assert gathering.add((key,))
    with sleeper.changed:
        assert sleeper.changed.wait_for(lambda: len(sleeper.heard) == 1000, timeout=10)
    gathering.close()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert [len(keys) for keys in sleeper.woken] == [500, 500]
    assert sleeper.heard == sent


def test_one_key_stands_for_all_of_its_folder_whenever_they_come() -> None:
    """A run lists the folders of its keys: what comes to one that is held is seen with it."""
    sleeper = Sleeper()
    gathering = Gathering(sleeper)
    day, next_day = "uploads/pi-1/2026/01/31/", "uploads/pi-1/2026/02/01/"
    for name in range(1000):
        gathering.add((f"{day}{name}.jpg", f"{day}{name}.json"))
    gathering.add((f"{next_day}1.jpg",))
    gathering.hand_over()
    assert [[key.rpartition("/")[0] + "/" for key in keys] for keys in sleeper.woken] == [[day, next_day]]
    gathering.add((f"{day}one-more.jpg",))
    gathering.hand_over()
    assert sleeper.woken[1:] == [(f"{day}one-more.jpg",)]


def test_what_was_gathered_is_handed_over_at_the_end() -> None:
    sleeper = Sleeper()
    gathering = Gathering(sleeper, Times(gather=0, wait=60))
    thread = threading.Thread(target=gathering.run)
    thread.start()
    gathering.add(("a/1",))
    with sleeper.changed:
        assert sleeper.changed.wait_for(lambda: sleeper.woken, timeout=10)
    gathering.add(("b/1",))  # in the pause after a wake-up
    gathering.close()
    thread.join(timeout=10)
    assert sleeper.woken == [("a/1",), ("b/1",)]


def test_while_nobody_is_there_hints_are_kept_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    sleeper = Sleeper()
    gathering = Gathering(sleeper)
    sleeper.away = True
    assert gathering.add(("a/1",))  # nobody knows yet
    with caplog.at_level(logging.WARNING):
        pauses = [gathering.hand_over() for _ in range(7)]
        assert pauses == [2, 4, 8, 16, 30, 30, 30]
        assert [record.getMessage() for record in caplog.records] == [
            "nobody is there; 1 hints are kept, and tried again"
        ]
        assert gathering.away
        assert not gathering.add(("b/1",))
        sleeper.away = False
        gathering.hand_over()
        assert "answers again" in caplog.records[-1].getMessage()
    assert sleeper.woken == [("a/1", "b/1")]
    assert gathering.add(("c/1",))


def test_a_queue_hears_of_its_messages_only_once_they_are_handed_over() -> None:
    sleeper = Sleeper()
    gathering = Gathering(sleeper)
    deleted: list[str] = []
    gathering.add(("a/1", "b/1"), lambda: deleted.append("message 1"))
    gathering.add(("a/1",), lambda: deleted.append("message 2"))
    sleeper.away = True
    gathering.hand_over()
    sleeper.away, sleeper.waiting = False, True
    gathering.hand_over()
    assert deleted == []
    assert gathering.held == 2
    sleeper.waiting = False
    gathering.hand_over()
    assert deleted == ["message 1", "message 2"]
    assert sleeper.woken == [("a/1", "b/1")]
    assert gathering.held == 0


def test_memory_is_bounded_and_no_more_is_fetched_than_one_wake_up_takes() -> None:
    sleeper = Sleeper()
    sleeper.waiting = True
    gathering = Gathering(sleeper, bounds=Bounds(event=5, held=12))
    assert gathering.add(captures(range(4)))
    assert gathering.has_room
    assert gathering.add(captures(range(12)))
    assert not gathering.has_room
    assert not gathering.add(("one more",))
    assert gathering.add(captures(range(12)))  # all of them are held already
    assert gathering.held == 12
    sleeper.waiting = False
    while gathering.held:
        gathering.hand_over()
    assert max(map(len, sleeper.woken)) <= 5
    assert sorted(sleeper.heard) == sorted(captures(range(12)))


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from([f"{name}/1" for name in "abcdefgh"]), max_size=12),
            st.booleans(),
            st.sampled_from("twa"),
        )
    )
)
def test_whatever_happens_each_key_is_handed_over_and_each_message_answered_after_its_keys(steps) -> None:  # type: ignore[no-untyped-def]
    sleeper = Sleeper()
    gathering = Gathering(sleeper, bounds=Bounds(event=3, held=100))
    answered: list[bool] = []
    for keys, from_queue, mood in steps:
        sleeper.waiting, sleeper.away = mood == "w", mood == "a"
        wanted = set(keys)
        before = len(sleeper.woken)

        def answer(wanted: set[str] = wanted, before: int = before) -> None:
            answered.append(wanted <= {key for woken in sleeper.woken[before:] for key in woken})

        if keys:
            gathering.add(keys, answer if from_queue else None)
        gathering.hand_over()
    sleeper.waiting = sleeper.away = False
    while gathering.held:
        gathering.hand_over()
    assert set(sleeper.heard) == {key for keys, _, _ in steps for key in keys}
    assert answered == [True] * sum(bool(keys) and from_queue for keys, from_queue, _ in steps)
    assert all(len(keys) <= 3 for keys in sleeper.woken)
