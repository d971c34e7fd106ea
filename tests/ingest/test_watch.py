"""What polls and reconciliations do with late, replaced, deleted and misplaced objects, on S3 and on a folder."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from finding_site import CLASSES, LONG_AFTER, LONG_AGO, TODAY, Site

from bench.images import speckles as picture
from hemaloop.errors import TransientError
from hemaloop.ingest.reconciling import last_reconciliation
from hemaloop.ingest.rules import MISPLACED, VANISHED
from hemaloop.ingest.states import State
from hemaloop.ingest.watch import discover
from hemaloop.protocol.keys import UploadKey
from hemaloop.storage import Bucket, StoredObject

pytestmark = pytest.mark.slow


def test_a_poll_finds_what_came_late_to_a_recent_day_and_leaves_old_days_to_the_reconciliation(site: Site) -> None:
    assert site.poll() == 0
    window = site.params.window_days
    recent = [site.put(f"d{day}", day=TODAY - timedelta(days=day)) for day in (-1, 0, window)]
    for day in (TODAY - timedelta(days=window + 2), LONG_AGO, LONG_AFTER):
        site.put("c", day=day)
    assert site.poll() == len(recent)
    assert site.poll() == 0
    found = site.reconcile()
    assert (found.objects, found.entered, found.missed, found.lists) == (6, 3, 3, 1)
    assert last_reconciliation(site.ledger, site.bucket.url) == found
    assert site.poll() == 0


def test_the_first_poll_of_a_bucket_takes_in_all_that_it_held_before(site: Site) -> None:
    old = site.put("c", day=LONG_AGO)
    assert discover(site.ledger, site.bucket, site.params, CLASSES, datetime.now(UTC), "poll") == 1
    assert site.states(old) == [(State.DISCOVERED, "")]


def test_a_notification_of_a_device_with_a_wrong_clock_is_enough(site: Site) -> None:
    site.poll()
    keys = [site.put("c", day=day) for day in (LONG_AGO, LONG_AFTER)]
    misplaced = "uploads/notes.jpg"
    site.bucket.write(misplaced, b"a note")
    lost = [str(UploadKey("pi-7", LONG_AGO, "gone")), "uploads/", "releases/x.jpg", "\x00"]
    assert site.poll([*keys, *keys, misplaced, *lost]) == 3
    assert site.poll([*keys, misplaced]) == 0


def test_neither_an_older_time_nor_the_same_second_hides_an_upload(folder_site: Site) -> None:
    site = folder_site
    second = datetime.now(UTC).timestamp() // 1
    for capture, modified in (("b", second), ("a", second), ("c", second), ("late", second - 9000)):
        path = site.path_of(site.put(capture))
        os.utime(path, (modified, modified))
        assert site.poll() == 1 or capture == "b"  # the first one is found by the first look
    assert site.ledger.counts() == {State.DISCOVERED: 4}


def test_an_image_without_a_sidecar_waits_until_it_is_settled_and_with_one_it_does_not(folder_site: Site) -> None:
    site = folder_site
    site.poll()
    alone, whole = site.put("alone"), site.put("whole")
    site.put_sidecar(whole, b"an image")
    waiting = replace(site.params, settle_seconds=60)
    assert site.poll(params=waiting) == 1
    assert site.states(whole) == [(State.DISCOVERED, "")]
    earlier = datetime.now(UTC).timestamp() - 61
    os.utime(site.path_of(alone), (earlier, earlier))
    assert site.poll(params=waiting) == 1


def test_an_overwritten_object_is_a_second_upload_also_while_the_first_is_worked_on(site: Site) -> None:
    key = site.put("c", picture(1))
    site.poll()
    claimed = site.claim()
    site.put("c", picture(2))
    assert site.poll() == 1
    site.settle(site.measure(claimed))  # what is there now is not what was listed
    site.ingest()
    assert site.states(key) == [(State.QUARANTINED, VANISHED), (State.ACCEPTED, "")]
    site.put("c", picture(3))
    site.poll()
    site.ingest()
    assert [state for state, _ in site.states(key)] == [State.QUARANTINED, State.ACCEPTED, State.ACCEPTED]


def test_what_is_deleted_before_it_is_read_is_told_and_taken_when_it_comes_again(site: Site) -> None:
    key = site.put("c", picture(1))
    site.poll()
    site.bucket.delete(key)
    site.ingest()
    assert site.states(key) == [(State.QUARANTINED, VANISHED)]
    assert site.poll() == 0
    site.put("c", picture(1))  # on S3 with the very same ETag
    assert site.poll() == 1
    assert site.poll() == 0
    site.ingest()
    assert site.states(key) == [(State.QUARANTINED, VANISHED), (State.ACCEPTED, "")]


def test_what_is_deleted_once_it_is_versioned_changes_nothing(site: Site) -> None:
    key = site.put("c", picture(1))
    site.poll()
    site.ingest()
    site.version()
    site.bucket.delete(key)
    before = site.ledger.history(key)
    site.poll()
    site.reconcile()
    assert site.ledger.history(key) == before


def test_a_key_in_the_wrong_place_goes_to_quarantine(site: Site) -> None:
    site.poll()
    keys = ["uploads/notes.txt", "uploads/pi-1/2026/13/01/a.jpg", "uploads/pi-1/2026/11/20/deep/a.jpg"]
    for key in keys:
        site.bucket.write(key, b"a note")
    assert site.reconcile().missed == len(keys)
    site.ingest()
    assert [site.states(key) for key in keys] == [[(State.QUARANTINED, MISPLACED)]] * len(keys)


class CutBucket(Bucket):
    """A bucket whose store goes away after some pages of a listing."""

    pages_left = 2

    def pages(self, prefix: str, start_after: str = "") -> Iterator[Sequence[StoredObject]]:
        for page in super().pages(prefix, start_after):
            if self.pages_left == 0:
                raise TransientError("the store went away")
            self.pages_left -= 1
            yield page


def test_a_reconciliation_cut_short_is_done_again_as_a_whole_and_enters_nothing_twice(folder_site: Site) -> None:
    site = folder_site
    folder = site.path_of(site.put("a", day=LONG_AGO)).parent
    for number in range(2500):
        (folder / f"b{number}.jpg").write_bytes(b"x")
    with pytest.raises(TransientError, match="went away"):
        site.reconcile(CutBucket(site.bucket.url))
    assert last_reconciliation(site.ledger, site.bucket.url) is None
    entered = site.ledger.counts()[State.DISCOVERED]
    found = site.reconcile()
    assert (entered, found.entered, found.lists, found.objects) == (1000, 1501, 3, 2501)
    site.bucket = cut = CutBucket(site.bucket.url)
    cut.pages_left = 1 + site.params.window_days + 2
    assert site.poll(["uploads/"]) == 0  # a hint that names everything is no way to have everything listed


def test_polls_and_reconciliations_at_once_enter_each_upload_once(site: Site) -> None:
    site.poll()
    for number in range(20):
        site.put(f"c{number}")
    with ThreadPoolExecutor(4) as pool:
        polls = [pool.submit(site.poll) for _ in range(3)]
        whole = pool.submit(site.reconcile)
        assert sum(poll.result() for poll in polls) + whole.result().entered == 20
    assert site.ledger.counts() == {State.DISCOVERED: 20}
