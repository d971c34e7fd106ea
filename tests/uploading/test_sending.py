"""The same files give the same keys, nothing goes twice, and what was said once is not overwritten."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from labelled import image, write

from hemaloop.errors import DataError
from hemaloop.imaging.boxes import Box
from hemaloop.imaging.decode import decode as decode_image
from hemaloop.protocol.documents import decode
from hemaloop.protocol.keys import parse_upload_key, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket
from hemaloop.uploading.item import Item, Subject, describe
from hemaloop.uploading.sending import Outcome, Sent, contradictions, in_threads, prepare, send, what_is_there

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
CUT = Box(10, 20, 90, 100)


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """Two images, and a cell of one of them."""
    paths = [write(tmp_path / f"{name}.jpg", image(seed)) for seed, name in enumerate(("a b", "é"))]
    found = [describe(path, Subject("pi-1", slide="s-1", captured_at=AT), "neutrophil", "ana") for path in paths]
    return [*found, replace(found[0], cut=CUT)]


def send_all(bucket: Bucket, items: Sequence[Item]) -> list[Sent]:
    found = [prepare(item) for item in items]
    there = what_is_there(bucket, found)
    return sorted(in_threads(lambda ready: send(bucket, ready, there), found), key=lambda sent: sent.key)


def contents(bucket: Bucket) -> dict[str, tuple[str, datetime]]:
    return {stored.key: (stored.etag, stored.modified) for stored in bucket.list("uploads/")}


def test_an_import_goes_once_and_only_what_is_missing_goes_again(any_bucket: Bucket, items: list[Item]) -> None:
    sent = send_all(any_bucket, items)
    before = contents(any_bucket)
    assert [each.outcome for each in sent] == [Outcome.SENT] * 3
    assert len(before) == 6
    for each in sent:
        said = decode(any_bucket.read(sidecar_key(each.key)), Sidecar)
        assert said.sha256 == hashlib.sha256(any_bucket.read(each.key)).hexdigest()
        assert parse_upload_key(each.key) is not None
        assert (said.label, said.slide, said.captured_at) == ("neutrophil", "s-1", AT)

    again = send_all(any_bucket, items)
    assert [each.outcome for each in again] == [Outcome.THERE] * 3
    assert contents(any_bucket) == before

    any_bucket.delete(sidecar_key(sent[0].key))  # it was killed between the two
    any_bucket.write(sent[1].key, b"half")
    assert [each.outcome for each in send_all(any_bucket, items)] == [Outcome.SENT, Outcome.SENT, Outcome.THERE]
    after = contents(any_bucket)
    assert {key for key in before if before[key] != after[key]} <= {
        sidecar_key(sent[0].key), sent[1].key, sidecar_key(sent[1].key)
    }  # fmt: skip
    assert any_bucket.read(sent[1].key) != b"half"


def test_a_cell_is_its_sources_pixels_and_named_by_source_and_place(any_bucket: Bucket, items: list[Item]) -> None:
    (sent,) = send_all(any_bucket, items[2:])
    source = items[2].path.read_bytes()
    assert sent.key == f"uploads/pi-1/2026/01/31/a_b-10_20_90_100-{hashlib.sha256(source).hexdigest()[:12]}.png"
    cell = decode_image(any_bucket.read(sent.key))
    assert np.array_equal(cell, decode_image(source)[20:100, 10:90])


def test_other_words_are_told_and_not_written(any_bucket: Bucket, items: list[Item]) -> None:
    (sent,) = send_all(any_bucket, items[:1])
    before = contents(any_bucket)
    other = replace(items[0], said=replace(items[0].said, label="monocyte", patient="p-1"))
    (told,) = send_all(any_bucket, [other])
    assert told.outcome is Outcome.DIFFERS
    assert told.note == "patient is None, here 'p-1', label is 'neutrophil', here 'monocyte'"
    later = replace(items[0], said=replace(items[0].said, captured_at=AT.replace(hour=12)))
    assert send_all(any_bucket, [later])[0].outcome is Outcome.THERE  # a copied file's time
    assert contents(any_bucket) == before
    any_bucket.write(sidecar_key(sent.key), b"{")
    assert "cannot be read" in send_all(any_bucket, items[:1])[0].note


def test_one_picture_with_two_labels_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    subject = Subject("pi-1", captured_at=AT)
    paths = [write(tmp_path / name, image(1)) for name in ("a.jpg", "b.jpg", "c.jpg")]
    labels = ("neutrophil", "monocyte", "neutrophil")
    found = [prepare(describe(path, subject, label)) for path, label in zip(paths, labels, strict=True)]
    (problem,) = contradictions(found)
    assert "b.jpg is monocyte, but the same image is neutrophil as" in problem
    cells = [
        replace(found[0], item=replace(found[0].item, cut=CUT)),
        replace(found[1], item=replace(found[1].item, cut=Box(0, 0, 9, 9))),
    ]
    assert contradictions(cells) == []


def test_a_file_that_changes_meanwhile_is_not_sent(any_bucket: Bucket, items: list[Item]) -> None:
    ready = prepare(items[0])
    items[0].path.write_bytes(image(7))
    with pytest.raises(DataError, match="has changed"):
        send(any_bucket, ready)
    assert contents(any_bucket) == {}


def test_without_a_time_a_file_has_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", b"x")
    os.utime(path, (AT.timestamp(), AT.timestamp()))
    item = describe(path, Subject("pi-1"))
    assert item.said.captured_at == AT
    assert prepare(item).key.startswith("uploads/pi-1/2026/01/31/a-2d711642b726.jpg")
    assert item.said.labelled_by is None


def test_the_first_error_stops_what_has_not_begun() -> None:
    done: list[int] = []

    def work(number: int) -> int:
        if number == 3:
            raise DataError("three")
        done.append(number)
        return number

    with pytest.raises(DataError, match="three"):
        list(in_threads(work, range(1000), threads=2))
    assert len(done) < 20
    assert sorted(in_threads(lambda number: number, range(100))) == list(range(100))
