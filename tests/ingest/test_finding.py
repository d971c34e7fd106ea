"""Where a poll looks, which sidecar belongs to which image, and what has arrived: rules over values."""

from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemaloop.ingest.finding import Pair, has_arrived, identity, is_partition, is_recent, pair, partitions
from hemaloop.protocol.keys import IMAGE_SUFFIXES, UploadKey, parse_upload_key, sidecar_key
from hemaloop.storage import StoredObject

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SETTLE = timedelta(seconds=30)

# Stems that are beginnings of each other, and what sorts between '.jpg', '.json' and '.png'.
STEMS = ("a", "a.b", "a.jpg", "a-b", "a/b", "a.j/c", "b", "b.json")
SUFFIXES = ("", ".", ".jpg", ".jpeg", ".png", ".json", ".jso", ".k", ".JPG", "/")
KEYS = [f"uploads/{stem}{suffix}" for stem, suffix in product(STEMS, SUFFIXES)]


def stored(key: str, age: timedelta = timedelta(0), etag: str = "e") -> StoredObject:
    return StoredObject(key, 1, etag, NOW - age)


@given(keys=st.sets(st.sampled_from(KEYS)))
def test_whatever_sorts_between_an_image_finds_its_sidecar_and_nothing_is_told_twice(keys: set[str]) -> None:
    pairs = list(pair(stored(key) for key in sorted(keys)))
    images = {found.image.key: found.sidecar for found in pairs if found.image}
    assert images.keys() == {key for key in keys if not key.endswith((".json", "/"))}
    assert len(pairs) - len(images) == sum(found.image is None for found in pairs)
    for key, sidecar in images.items():
        paired = key.endswith(IMAGE_SUFFIXES) and sidecar_key(key) in keys
        assert (sidecar is not None and sidecar.key == sidecar_key(key)) == paired
    with_image = {sidecar.key for sidecar in images.values() if sidecar}
    alone = sorted(found.sidecar.key for found in pairs if found.image is None and found.sidecar)
    assert alone == sorted(key for key in keys if key.endswith(".json") and key not in with_image)


def test_what_shares_a_stem_without_being_an_image_is_not_held() -> None:
    held = 0

    def listing():  # type: ignore[no-untyped-def]
        nonlocal held
        for number in range(5000):
            held += 1
            yield stored(f"uploads/x.{number:06d}")

    for _ in pair(listing()):
        held -= 1
        assert held == 0


@pytest.mark.parametrize(
    ("age", "sidecar", "arrived"),
    [
        (timedelta(0), True, True),
        (timedelta(seconds=29), False, False),
        (timedelta(seconds=30), False, True),
        (timedelta(days=-400), False, True),  # the store's clock is wrong: waiting for it would lose the upload
        (timedelta(hours=-1), False, False),
    ],
)
def test_an_upload_has_arrived_with_its_sidecar_or_once_settled(age: timedelta, sidecar: bool, arrived: bool) -> None:
    found = Pair(stored("uploads/a.jpg", age), stored("uploads/a.json") if sidecar else None)
    assert has_arrived(found, SETTLE, NOW) is arrived


def test_a_sidecar_alone_is_no_upload() -> None:
    assert not has_arrived(Pair(None, stored("uploads/a.json", timedelta(days=1))), SETTLE, NOW)


@given(
    now=st.datetimes(datetime(2000, 3, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
    day=st.dates(date(1971, 1, 1), date(2098, 1, 1)),
    window=st.integers(0, 40),
)
def test_a_poll_lists_the_days_of_its_window_and_tomorrow_of_every_device(
    now: datetime, day: date, window: int
) -> None:
    key = str(UploadKey("pi-1", day, "c"))
    listed = partitions(["uploads/pi-1/", "uploads/pi-2/"], now, window)
    assert len(listed) == 2 * (window + 2)
    assert all(is_partition(prefix) for prefix in listed)
    wanted = now.date() - timedelta(days=window) <= day <= now.date() + timedelta(days=1)
    assert any(key.startswith(prefix) for prefix in listed) is wanted
    assert is_recent(key, now, window) is wanted


def test_a_hint_adds_its_partition_once_and_never_the_whole_bucket() -> None:
    hints = ["uploads/pi-9/1970/01/01/a.jpg", "uploads/pi-9/1970/01/01/a.json", "uploads/notes.jpg", "releases/1.zip"]
    assert partitions([], NOW, 3, hints) == ["uploads/notes.", "uploads/pi-9/1970/01/01/"]
    everything = partitions([], NOW, 3, ["uploads/", "uploads/.jpg", "uploads/pi-1/", "uploads/pi-1/2026/13/99/a.jpg"])
    assert not any(is_partition(prefix) for prefix in everything)


def test_a_folder_that_no_device_can_be_is_left_to_the_reconciliation() -> None:
    assert partitions(["uploads/a b/", "uploads/-x/", "uploads//"], NOW, 3) == []


def test_the_same_bytes_come_again_are_another_upload_only_where_the_first_had_vanished() -> None:
    again = stored("uploads/a.jpg", timedelta(seconds=5), etag="e")
    assert identity(again, vanished=False) == "e"
    assert identity(again, vanished=True) == "e@20261120T115955Z"


def test_a_misplaced_key_is_in_no_window() -> None:
    assert parse_upload_key("uploads/notes.txt") is None
    assert not is_recent("uploads/notes.txt", NOW, 400)
