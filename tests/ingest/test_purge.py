"""Quarantine keeps reason, measures and picture for its time; then the bytes go, once and wholly, and nothing else."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.images import speckles as picture
from hemaloop.cli import parser
from hemaloop.errors import ConfigError, DataError
from hemaloop.imaging import faults
from hemaloop.imaging.decode import decode
from hemaloop.imaging.measure import measure
from hemaloop.ingest.claims import claim
from hemaloop.ingest.ledger import Ledger, enter
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.purging import Purged, due, purge
from hemaloop.ingest.quarantine import THUMBNAIL, find, objects_of, pictures, release
from hemaloop.ingest.rules import CONSENT_WITHDRAWN, Refusal
from hemaloop.ingest.settle import settle
from hemaloop.ingest.states import State
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import UploadKey, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

THEN = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
NOW = THEN + timedelta(days=200)
KEEP = timedelta(days=180)
DARK, OTHER, TEXT = faults.darken(picture(1)), faults.darken(picture(2)), b"no image" * 300


class KilledError(Exception):
    """The process is gone."""


class DyingBucket(Bucket):
    """Ends everything at its `left`-th deletion."""

    left = 0

    def delete(self, key: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise KilledError
        super().delete(key)


@dataclass
class Site:
    ledger: Ledger
    bucket: Bucket

    def send(self, capture: str, data: bytes, device: str = "pi-1", suffix: str = ".jpg") -> str:
        key = str(UploadKey(device, THEN.date(), capture, suffix))
        self.bucket.write(key, data)
        self.bucket.write(sidecar_key(key), encode(Sidecar(hashlib.sha256(data).hexdigest(), device, THEN)))
        return key

    def refuse(self, reasons: dict[str, str], at: datetime = THEN) -> None:
        """Refuse new uploads: key -> reason."""
        self.enter()
        found = []
        for upload in claim(self.ledger, self.bucket.url, "run", 100, 600, at):
            data = self.bucket.read(upload.key)
            found.append(Measured(upload.id, upload.key, len(data), measures=measure(data)))
        refused = {each.upload: Refusal(reasons[each.key], "why") for each in found}
        settle(self.ledger, self.bucket, found, refused, "run", 6, at)

    def enter(self) -> None:
        images = [stored for stored in self.bucket.list("uploads/") if not stored.key.endswith(".json")]
        with self.ledger.writing() as connection:
            enter(connection, self.bucket.url, images, "watch", NOW, {})

    def names(self, prefix: str = "") -> set[str]:
        return {stored.key for stored in self.bucket.list(prefix)}

    def state(self, key: str) -> list[State]:
        return [trace.upload.state for trace in self.ledger.history(key)]


@contextmanager
def site(bucket: type[Bucket] = Bucket) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        made = bucket(f"file://{folder}/bucket")
        made.create()
        yield Site(Ledger(f"sqlite:///{folder}/ledger.db"), made)


def test_quarantine_keeps_what_was_judged_the_reason_and_a_small_picture_without_metadata() -> None:
    large = cv2.imencode(".jpg", np.full((1200, 1600, 3), 40, np.uint8))[1].tobytes()
    with site() as place:
        located, text = place.send("located", faults.with_gps(large)), place.send("text", TEXT)
        place.refuse({located: "private_exif", text: "not_an_image"})
        first, second = find(place.ledger)
        assert (first.key, first.reason, first.quarantined_at) == (located, "private_exif", THEN)
        beside = [place.bucket.read(key) for key in objects_of(first.quarantine_key or "")]
        assert beside[0] == faults.with_gps(large)
        assert json.loads(beside[1])["reason"] == "private_exif"
        assert decode(beside[2]).shape == (120, 160, 3)
        assert measure(beside[2]).private_exif == ""
        assert not place.bucket.exists(f"{second.quarantine_key}{THUMBNAIL}")
        assert pictures(place.ledger, place.bucket, [first.id, second.id]) == {first.id: beside[2]}


def test_what_was_overwritten_since_it_was_judged_is_not_put_into_its_place() -> None:
    with site() as place:
        key = place.send("dark", DARK)
        place.enter()
        (upload,) = claim(place.ledger, place.bucket.url, "run", 1, 600, THEN)
        place.send("dark", OTHER)
        found = Measured(upload.id, key, len(DARK), measures=measure(DARK))
        settle(place.ledger, place.bucket, [found], {upload.id: Refusal("too_dark")}, "run", 6, THEN)
        assert {name.removeprefix("quarantine/").count(".json") for name in place.names("quarantine/")} == {1}


def test_purge_takes_every_byte_of_what_is_due_and_nothing_else() -> None:
    with site() as place:
        due_one, text = place.send("due", DARK), place.send("text", TEXT)
        released, replaced = place.send("released", faults.darken(picture(3))), place.send("replaced", OTHER)
        shared = place.send("shared", faults.darken(picture(4)))
        keys = (due_one, text, released, replaced, shared)
        place.refuse(dict.fromkeys(keys, "too_dark"))
        release(place.ledger, place.bucket, released, "ana", "the only one", 6)
        place.send("replaced", picture(8))
        other_image = place.send("shared", picture(9), suffix=".png")
        recent = place.send("recent", faults.darken(picture(5)))
        place.refuse(dict.fromkeys((replaced, other_image, recent), "noisy"), at=NOW - timedelta(days=1))
        kept = {key for key in place.names() if not any(name in key for name in ("due", "text"))}
        gone = {shared, *(k for each in (replaced, shared) for k in objects_of("quarantine/" + each[8:]))}

        assert [each.key for each in due(place.ledger, place.bucket.url, KEEP, NOW)] == sorted({*keys} - {released})
        assert purge(place.ledger, place.bucket, KEEP, "ana", NOW).uploads == 4

        assert place.names() == kept - gone
        assert [place.state(key) for key in (due_one, text, released)] == [["purged"], ["purged"], ["accepted"]]
        assert place.state(replaced) == ["purged", "quarantined"]
        trace = place.ledger.history(due_one)[0]
        assert (trace.changes[-1].actor, trace.upload.reason, trace.upload.quarantine_key) == ("ana", "too_dark", None)
        with pytest.raises(DataError, match="purged: its bytes are gone"):
            release(place.ledger, place.bucket, due_one, "ana", "after all", 6)
        assert purge(place.ledger, place.bucket, KEEP, "ana", NOW) == Purged(0, 0)
        place.enter()
        assert place.state(due_one) == ["purged"]


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 7])
def test_a_purge_that_was_killed_is_finished_by_the_next(at: int) -> None:
    with site(DyingBucket) as place:
        sent = place.send("one", DARK), place.send("two", OTHER)
        place.refuse(dict.fromkeys(sent, "too_dark"))
        assert isinstance(place.bucket, DyingBucket)
        place.bucket.left = at
        with pytest.raises(KilledError):
            purge(place.ledger, place.bucket, KEEP, "ana", NOW)
        purge(place.ledger, place.bucket, KEEP, "ana", NOW)
        assert place.names() == set()
        assert [place.state(key) for key in sent] == [["purged"], ["purged"]]


def test_nobody_can_let_in_what_consent_was_withdrawn_for() -> None:
    with site() as place:
        key = place.send("one", DARK)
        place.refuse({key: CONSENT_WITHDRAWN})
        with pytest.raises(DataError, match="consent was withdrawn"):
            release(place.ledger, place.bucket, key, "ana", "please", 6)


def test_the_commands_list_show_release_and_purge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(*arguments: str) -> str:
        args = parser().parse_args(["quarantine", *arguments])
        say.code = args.run(args)  # type: ignore[attr-defined]
        return capsys.readouterr().out

    with site() as place:
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        (workspace / "params.yaml").write_bytes((Path(__file__).parents[2] / "params.yaml").read_bytes())
        values = {"BUCKET": place.bucket.url, "LEDGER": place.ledger.url, "WORKSPACE": workspace, "HOME": tmp_path}
        for name, value in values.items():
            monkeypatch.setenv(f"HEMALOOP_{name}", str(value))
        one, two, text = place.send("one", DARK), place.send("two", OTHER, "pi-2"), place.send("text", TEXT)
        place.refuse({one: "too_dark", two: "too_dark", text: "not_an_image"})

        assert say("list", "--device", "pi-2").split() == ["too_dark", two]
        assert [json.loads(line)["key"] for line in say("list", "--reason", "too_dark", "--json").splitlines()] == [
            one,
            two,
        ]
        assert f"{THUMBNAIL}" in say("show", one)
        assert "too_dark: why" in say("show", one)
        assert "2 would be released" in say("release", "--all-of-reason", "too_dark", "--reason", "dim lamp")
        assert len(find(place.ledger)) == 3
        told = say(
            "release", "--all-of-reason", "too_dark", "--device", "pi-2", "--yes", "--reason", "dim", "--person", "ana"
        )
        assert told.startswith(f"{two}: released by ana")
        say("release", text, one, "--reason", "both", "--person", "ana")
        assert say.code == DataError.exit_code  # type: ignore[attr-defined]
        assert [upload.key for upload in find(place.ledger)] == [text]
        with pytest.raises(ConfigError, match="either KEYs"):
            say("release", "--reason", "nothing")
        assert text in say("purge", "--dry-run")
        assert say("purge", "--older-than", "100000").startswith("0 uploads purged")
        assert say("purge", "--older-than", "0").startswith("1 uploads purged")
        assert say("list") == "nothing is in quarantine\n"
