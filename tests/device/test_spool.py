"""Promise 1 on the device: no image is lost, none counts twice, and a full spool says so."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hemaloop.device.capture.cameras.folder import FolderCamera
from hemaloop.device.capture.cameras.frame import Frame
from hemaloop.device.capture.spool import Spool, capture_id
from hemaloop.device.home import DeviceSettings
from hemaloop.device.journal import CLASSIFIED, UPLOADED, Counts, Journal, UnsentReport
from hemaloop.errors import ConfigError, DataError, TransientError
from hemaloop.protocol.documents import decode
from hemaloop.protocol.keys import parse_upload_key, report_key
from hemaloop.protocol.report import RefusedUpdate
from hemaloop.protocol.sidecar import Sidecar

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SETTINGS = DeviceSettings("pi-1", "file:///nowhere", "stable", slide="slide-7", um_per_px=0.25)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as journal:
        yield journal


def frame(name: str = "a.jpg", data: bytes = b"image", at: datetime = NOON) -> Frame:
    return Frame(name, at, ".jpg", data)


class Ticking:
    """A clock that never says the same time twice."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def test_each_file_is_delivered_once_and_keeps_its_time_until_it_is(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "camera" / "neutrophil").mkdir(parents=True)
    for name in ("b.jpg", "neutrophil/a.PNG", ".hidden.jpg", "notes.txt", "b.json"):
        (tmp_path / "camera" / name).write_bytes(name.encode())
    camera = FolderCamera(tmp_path / "camera", journal, Ticking())
    first = list(camera.frames())
    assert [each.data for each in first] == [b"b.jpg", b"neutrophil/a.PNG"]
    assert list(camera.frames()) == first, "shown again, a frame is the same frame"
    camera.deliver(first[0])
    assert list(camera.frames()) == first[1:]


def test_a_file_written_anew_under_an_old_name_is_another_frame(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "camera" / "image.jpg"
    path.parent.mkdir()
    path.write_bytes(b"one")
    camera = FolderCamera(path.parent, journal, Ticking())
    camera.deliver(next(camera.frames()))
    path.write_bytes(b"another")
    assert [each.data for each in camera.frames()] == [b"another"]


def test_a_missing_camera_folder_says_what_to_mend(tmp_path: Path, journal: Journal) -> None:
    with pytest.raises(ConfigError, match="camera"):
        list(FolderCamera(tmp_path / "none", journal, Ticking()).frames())


def test_a_spooled_image_has_a_key_and_a_sidecar_without_a_label(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    spool.add(frame(), SETTINGS)
    (spooled,) = spool.to_upload()
    key = parse_upload_key(spooled.key())
    assert key is not None
    assert (key.device, key.day, key.capture) == ("pi-1", NOON.date(), capture_id(frame()))
    sidecar = decode(spooled.sidecar.read_bytes(), Sidecar)
    assert (sidecar.slide, sidecar.um_per_px, sidecar.label) == ("slide-7", 0.25, None)


def test_the_same_frame_twice_is_one_capture_and_two_equal_images_are_two(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    for each in (frame(), frame(), frame("b.jpg")):
        spool.add(each, SETTINGS)
    assert len(spool.to_upload()) == 2
    assert spool.usage().bytes == 10


def test_a_full_spool_refuses_and_says_so_and_drops_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 12)
    spool.add(frame("a"), SETTINGS)
    spool.add(frame("b"), SETTINGS)
    before = spool.to_upload()
    with pytest.raises(TransientError, match="spool of pi-1 is full"):
        spool.add(frame("c"), SETTINGS)
    assert spool.to_upload() == before
    with pytest.raises(DataError, match="larger than the whole spool"):
        spool.add(frame("d", b"x" * 13), SETTINGS)


def test_an_image_that_is_in_the_bucket_makes_room_for_one_that_is_not(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 12)
    spool.add(frame("a"), SETTINGS)
    spool.uploaded(spool.to_upload()[0])
    spool.add(frame("b"), SETTINGS)
    assert (spool.usage().to_upload, spool.usage().to_classify) == (1, 2)
    spool.add(frame("c"), SETTINGS)
    assert (spool.usage().to_upload, spool.usage().to_classify) == (2, 2)
    assert capture_id(frame("a")) not in {each.capture for each in spool.waiting()}
    assert Spool(tmp_path, 12).usage() == spool.usage(), "a new process counts the same"


def test_what_a_kill_leaves_half_done_is_swept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    capture = spool.add(frame(), SETTINGS)
    (tmp_path / "upload" / ".tmp-abc").write_bytes(b"half")
    (tmp_path / "upload" / "20261121T120000.000000Z-12345678.json").write_bytes(b"{}")
    spool.sweep()
    assert {path.name for path in (tmp_path / "upload").iterdir()} == {
        f"{capture}.{suffix}" for suffix in ("jpg", "json", "worth")
    }


def write(counts: Counts, at: datetime) -> UnsentReport:
    return UnsentReport(report_key("pi-1", at), f"{counts.uploaded} {counts.classified}".encode())


def test_a_count_is_taken_once_and_leaves_with_one_report(journal: Journal) -> None:
    for _ in range(2):
        journal.count(UPLOADED, "a")
        journal.count(CLASSIFIED, "a", "monocyte", 3.0)
    assert journal.close_report(NOON, write).body == b"1 {'monocyte': 1}"
    assert journal.close_report(NOON, write).body == b"0 {}"
    assert journal.total(CLASSIFIED) == 1


@pytest.mark.parametrize("set_back", [timedelta(0), timedelta(microseconds=1), timedelta(milliseconds=900)])
@pytest.mark.parametrize("is_sent", [True, False])
def test_reports_of_the_same_microsecond_have_keys_of_their_own_and_lose_nothing(
    journal: Journal, set_back: timedelta, is_sent: bool
) -> None:
    told = {}
    for place, now in enumerate((NOON, NOON - set_back, NOON - set_back)):
        journal.count(UPLOADED, str(place))
        report = journal.close_report(now, write)
        told[report.key] = report.body
        if is_sent:
            journal.sent(report.key)
    assert list(told.values()) == [b"1 {}"] * 3
    assert sorted(told) == list(told), "they are sent in the order in which they were written"


def test_a_report_says_what_the_clock_says_wherever_it_was_set(journal: Journal) -> None:
    for now in (datetime(2099, 1, 1, tzinfo=UTC), NOON, NOON - timedelta(minutes=1)):
        assert journal.close_report(now, write).key == report_key("pi-1", now)
    again = journal.close_report(NOON, write)
    assert again.key == report_key("pi-1", NOON + timedelta(microseconds=1)), "the first of noon is not sent yet"


def test_a_report_that_cannot_be_written_loses_no_count(journal: Journal) -> None:
    journal.count(UPLOADED, "a")

    def fail(*_: object) -> UnsentReport:
        raise DataError("no")

    with pytest.raises(DataError):
        journal.close_report(NOON, fail)
    assert journal.unsent() is None
    assert journal.close_report(NOON, write).body.startswith(b"1 ")


def test_a_refusal_of_each_minute_is_reported_once_and_stays_known(journal: Journal) -> None:
    for minute in range(3):
        journal.refuse(RefusedUpdate(NOON + timedelta(minutes=minute), None, "expired"))
    refused: list[tuple[RefusedUpdate, ...]] = []

    def keep(counts: Counts, _: datetime) -> UnsentReport:
        refused.append(counts.refused)
        return UnsentReport(f"reports/{len(refused)}", b"")

    journal.close_report(NOON, keep)
    journal.close_report(NOON, keep)
    assert refused == [(RefusedUpdate(NOON, None, "expired"),), ()]
    assert journal.refusals() == (RefusedUpdate(NOON, None, "expired"),)
