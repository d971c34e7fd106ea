"""A round judged by real Great Expectations suites: its uploads one by one, and the round as a whole."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ingest_site import PARAMS
from sqlalchemy import insert

from hemaloop.config import read_section
from hemaloop.imaging.measure import Measures
from hemaloop.ingest.judging import judge_round
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.rounds import Seen, groups, newest_rounds, recent
from hemaloop.ingest.rules import Judgement
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.states import State
from hemaloop.ingest.thresholds import Overrides, Thresholds
from hemaloop.protocol.documents import encode
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
GENERAL = read_section(PARAMS, "validate", Thresholds)
GOOD = Measures(
    20_000, "a" * 64, "jpeg", "", 640, 480, 3,
    focus=10.0, brightness=180.0, contrast=30.0, clipped=0.0, foreground=0.3, bit_depth=8, jpeg_quality=90,
)  # fmt: skip


def found(number: int, device: str = "pi-1", said: Mapping[str, Any] | None = None, **measures: Any) -> Measured:
    key = f"uploads/{device}/2026/11/20/field-{number}.jpg"
    sidecar = Sidecar("a" * 64, device, NOW, **said) if said else None
    return Measured(number, key, 20_000, measures=replace(GOOD, **measures), sidecar=sidecar)


class Site:
    """An empty ledger and bucket."""

    def __init__(self, folder: Path) -> None:
        self.ledger, self.bucket = Ledger(f"sqlite:///{folder}/ledger.db"), Bucket(f"file://{folder}/bucket")
        self.bucket.create()
        self.docs = folder / "docs"

    def judge(self, measured: list[Measured], thresholds: Thresholds = GENERAL) -> Judgement:
        return judge_round(self.ledger, self.bucket, measured, thresholds, NOW, self.docs)

    def versioned(self, count: int, device: str = "pi-1", label: str | None = None, **measures: float) -> int:
        """Uploads of before; the number of the newest."""
        body = encode(replace(GOOD, **measures)).decode()
        said = encode(Sidecar("a" * 64, device, NOW, label=label)).decode()
        with self.ledger.writing() as connection:
            rows = [
                {"bucket": self.bucket.url, "key": f"uploads/{device}/2026/11/19/old-{label}-{number}.jpg"}
                | {"etag": "e", "size": 1, "modified": NOW, "state": State.VERSIONED, "reason": ""}
                | {"measures": body, "sidecar": said}
                for number in range(count)
            ]
            connection.execute(insert(uploads), rows)
        return count


@contextmanager
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Site(Path(folder))


@pytest.mark.slow
def test_each_upload_is_judged_by_its_own_limits_and_its_note_names_them() -> None:
    overrides = Overrides({"pi-3": {"brightness": (20.0, 90.0)}}, {"wright": {"focus": (50.0, 90.0)}})
    thresholds = replace(GENERAL, overrides=overrides)
    measured = [
        found(1, brightness=60.0),
        found(2, "pi-3", brightness=60.0),
        found(3, "pi-3"),
        found(4, said={"stain": "Wright"}),
        found(5, said={"stain": "giemsa"}),
        found(6, colour_cast=55.0),
        found(7, jpeg_quality=5),
        found(8, jpeg_quality=0, format="png", bit_depth=1),
        found(9, jpeg_quality=0, format="png"),
        replace(found(10), measures=Measures(900, "b" * 64, "jpeg", "polyglot", 0, 0, 0, note="a ZIP behind it")),
        replace(found(11), measures=None, reading="vanished", note="it is gone"),
        found(12, "pi-3", brightness=60.0, said={"stain": "Wright"}),
        found(13, brightness=1.0, focus=0.1),
    ]
    with site() as place:
        judged = place.judge(measured, thresholds)
        refused = {upload: (each.reason, each.note) for upload, each in judged.refused.items()}
        assert refused == {
            1: ("too_dark", "brightness 60, wanted at least 80 (validate.brightness)"),
            3: ("too_bright", "brightness 180, wanted at most 90 (validate.overrides.devices.pi-3.brightness)"),
            4: ("out_of_focus", "focus 10, wanted at least 50 (validate.overrides.stains.Wright.focus)"),
            6: ("colour_cast", "colour_cast 55, wanted at most 30 (validate.colour_cast)"),
            7: ("low_jpeg_quality", "jpeg_quality 5, wanted at least 30 (validate.jpeg_quality)"),
            8: ("low_bit_depth", "bit_depth 1, wanted at least 8 (validate.bit_depth)"),
            10: ("polyglot", "a ZIP behind it"),
            11: ("vanished", "it is gone"),
            12: ("out_of_focus", "focus 10, wanted at least 50 (validate.overrides.stains.Wright.focus)"),
            13: ("too_dark", "brightness 1, wanted at least 80 (validate.brightness)"),
        }
        page = place.bucket.read(f"docs/{judged.docs}").decode()
        assert (place.docs / judged.docs).read_text() == page
        assert "brightness_lowest" in page
        assert place.bucket.exists(f"docs/{judged.docs_of_devices}")


@pytest.mark.slow
def test_a_device_that_changed_or_sends_mostly_rubbish_makes_the_round_suspect_and_labels_only_warn() -> None:
    with site() as place:
        newest = place.versioned(300, label="monocyte", brightness=200.0, focus=12.0)
        newest += place.versioned(300, "pi-2", label="neutrophil")
        measured = [found(newest + 1 + n, brightness=120.0, said={"label": "basophil"}) for n in range(98)]
        measured += [found(newest + 150 + n, "pi-2", focus=12.0 if n % 2 else 1.0) for n in range(20)]
        measured += [found(newest + 200 + n, "pi-9", focus=0.1) for n in range(12)]
        measured += [found(newest + 300, "pi-8", focus=0.1)]
        judged = place.judge(measured)
        told = sorted(line.split(" ", 2)[:2] for line in judged.suspect)
        assert told == [["pi-1:", "brightness_drift"], ["pi-1:", "focus_drift"], ["pi-9:", "refused_share"]]
        assert [line.split(" ")[:-5] for line in judged.warnings] == [
            ["the", "whole", "round:", "class_balance"],
            ["pi-1:", "class_balance"],
        ]
        assert len(judged.refused) == 23
        (kept,) = newest_rounds(place.ledger, 5)
        assert (kept.uploads, kept.refused, kept.docs) == (131, 23, judged.docs)
        assert kept.suspect == "; ".join(judged.suspect)
        place.judge(measured)
        assert len(newest_rounds(place.ledger, 5)) == 1


def test_a_device_that_sends_little_is_judged_over_rounds() -> None:
    """Five refused of five prove little; with those of the rounds before they do."""
    five = [Seen("pi-1", refused=True)] * 5
    before = [Seen("pi-1", refused=True)] * 20 + [Seen("pi-1", refused=False, versioned=True)] * 500
    alone, with_others = (groups(five[:3], earlier, window=25)[1] for earlier in ([], before))
    assert alone.refused_share < 0.5 < with_others.refused_share
    assert with_others.uploads == 25
    assert groups(five, [Seen("pi-2", refused=True)] * 50, window=25)[1].uploads == 5


def test_what_a_round_is_judged_beside_is_bounded_and_settled() -> None:
    with site() as place:
        place.versioned(100)
        with place.ledger.writing() as connection:
            connection.execute(uploads.update().where(uploads.c.id > 95).values(state=State.CLAIMED))
        assert len(recent(place.ledger, newest=100, limit=40)) == 35
        assert len(recent(place.ledger, newest=50, limit=10)) == 10
