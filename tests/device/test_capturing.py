"""From the camera to the bucket: what is saved, what is given up, and a clock that is wrong."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from hemaloop.device.capture.budget import Budget
from hemaloop.device.capture.capturing import Capturing
from hemaloop.device.capture.spool import Spool
from hemaloop.device.capture.uploading import upload
from hemaloop.device.home import DeviceSettings, Home
from hemaloop.device.journal import Counts, Journal, UnsentReport
from hemaloop.device.status import read_status, text
from hemaloop.device.transport import open_transport
from hemaloop.errors import HemaloopError, TransientError
from hemaloop.protocol.keys import parse_upload_key
from hemaloop.protocol.report import Traffic

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def field(seed: int, noise: int = 0) -> bytes:
    """A field of cells, and a camera's noise."""
    rng = np.random.default_rng(seed)
    image = np.full((480, 640, 3), (222, 218, 228), np.uint8)
    for _ in range(60):
        centre = tuple(int(value) for value in rng.integers(0, (640, 480)))
        cv2.circle(image, centre, int(rng.integers(18, 34)), tuple(int(v) for v in rng.integers(80, 190, 3)), -1)
    noisy = image + np.random.default_rng(noise).normal(0, 3, image.shape)
    return bytes(cv2.imencode(".jpg", np.clip(noisy, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


@dataclass
class Bench:
    """A device without a model: camera, spool and bucket."""

    home: Home
    bucket: Path
    settings: DeviceSettings
    journal: Journal
    now: datetime = NOON

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def show(self, *frames: bytes) -> Path:
        folder = self.home.folder / "camera"
        folder.mkdir(exist_ok=True)
        for data in frames:
            (folder / f"{len(list(folder.iterdir())):04d}.jpg").write_bytes(data)
        return folder

    def round(self, online: bool = True) -> list[HemaloopError]:
        """Capture, and upload where there is a network."""
        spool = Spool(self.home.spool, self.settings.spool_bytes)
        budget = Budget(self.journal, self.settings.budget_bytes, 86400, self.clock)
        problems: list[HemaloopError] = []
        capturing = Capturing(self.home, self.settings, self.journal, spool, budget, self.clock)
        try:
            list(capturing.capture(problems.append))
        except TransientError as error:
            problems.append(error)
        if online:
            list(upload(spool, self.journal, open_transport(self.settings.bucket), budget, self.clock, None))
        return problems

    def uploads(self) -> list[Path]:
        return sorted(
            path for path in self.bucket.rglob("*.jpg") if parse_upload_key(str(path.relative_to(self.bucket)))
        )

    def report(self) -> Counts:
        kept: list[Counts] = []

        def write(counts: Counts, at: datetime) -> UnsentReport:
            kept.append(counts)
            return UnsentReport(f"reports/{at.isoformat()}", b"")

        self.journal.close_report(self.clock(), write)
        return kept[0]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    home, bucket = Home(tmp_path / "pi-1"), tmp_path / "bucket"
    bucket.mkdir()
    camera = str(home.folder / "camera")
    settings = DeviceSettings("pi-1", f"file://{bucket}", "stable", camera, slide="s", camera_rate=30.0)
    with Journal(home.journal) as journal:
        yield Bench(home, bucket, settings, journal)


def live(bench: Bench, **settings: object) -> None:
    """The same images, shown by a camera that keeps nothing."""
    camera = f"replay:{bench.home.folder / 'camera'}"
    bench.settings = replace(bench.settings, camera=camera, **settings)  # type: ignore[arg-type]


def test_the_report_says_what_was_saved_against_sending_every_frame(bench: Bench) -> None:
    frames = [field(seed, noise) for seed in (1, 2) for noise in range(4)]
    bench.show(*frames)
    assert bench.round() == []
    counts = bench.report()
    assert counts.traffic == Traffic(8, 2, len(frames[0]) + len(frames[4]), sum(map(len, frames)))
    assert counts.uploaded == 2
    assert [path.read_bytes() for path in bench.uploads()] == [frames[0], frames[4]]
    told = text(read_status(bench.home, bench.settings, bench.journal, NOON))
    assert "8 shown; not sent: 6 show nothing new, 0 out of focus; 25." in told
    assert bench.report().traffic is None, "reported once"


def test_a_live_camera_without_a_network_gives_up_images_and_says_so(bench: Bench) -> None:
    frames = [field(seed) for seed in range(4)]
    bench.show(*frames)
    live(bench, spool_bytes=max(map(len, frames)) * 5 // 2)
    bench.round(online=False)
    waiting = Spool(bench.home.spool, bench.settings.spool_bytes).usage()
    assert (waiting.to_upload, waiting.bytes <= bench.settings.spool_bytes) == (2, True)
    assert bench.report().dropped == 2
    assert "2 given up" in text(read_status(bench.home, bench.settings, bench.journal, NOON))
    bench.settings = replace(bench.settings, camera=None)
    bench.round()
    assert [path.read_bytes() for path in bench.uploads()] == frames[2:], "the oldest went; the others arrive"


def test_a_folder_keeps_what_does_not_fit_and_no_upload_is_given_up(bench: Bench) -> None:
    frames = [field(seed) for seed in range(3)]
    bench.show(*frames)
    bench.settings = replace(bench.settings, spool_bytes=max(map(len, frames)) * 3 // 2)
    (problem,) = bench.round(online=False)
    assert "is full" in str(problem)
    for _ in range(3):
        bench.round()
    assert [path.read_bytes() for path in bench.uploads()] == frames
    assert bench.report().dropped == 2, "two answers: there is no model here, and the images are in the bucket"


def test_what_a_budget_does_not_pay_for_waits_and_smaller_pictures_go(bench: Bench) -> None:
    frames = [field(seed) for seed in range(6)]
    bench.show(*frames[:3])
    bench.settings = replace(bench.settings, budget_bytes=len(frames[0]) * 5 // 2)
    bench.round()
    assert len(bench.uploads()) == 2
    assert "spent: images wait" in text(read_status(bench.home, bench.settings, bench.journal, NOON))
    bench.show(*frames[3:])
    bench.round()
    waiting = Spool(bench.home.spool, 2**30).to_upload()
    assert len(waiting) >= 1
    assert waiting[-1].image.stat().st_size < len(frames[5]) / 2, "the last ones at a lower quality"
    sent = sum(path.stat().st_size for path in bench.bucket.rglob("*.*"))
    assert sent <= bench.settings.budget_bytes  # type: ignore[operator]


def test_a_clock_that_jumps_loses_nothing_and_no_two_captures_are_one(bench: Bench) -> None:
    years = (2026, 1970, 2099, 1970, 2026)
    frames = [field(seed) for seed in range(len(years))]
    for year, data in zip(years, frames, strict=True):
        bench.now = NOON.replace(year=year)
        bench.show(data)
        assert bench.round() == []
    assert {path.read_bytes() for path in bench.uploads()} == set(frames)
    assert len(bench.uploads()) == len(years)
    assert bench.report().uploaded == len(years)
