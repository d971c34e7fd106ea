"""What stops the pipeline before anything learns from it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hemaloop.dataset.manifest import assemble
from hemaloop.dataset.records import SealedImage, SealedLink, images_path, links_path, read_history, to_csv
from hemaloop.errors import DataError

CLASSES = ("lymphocyte", "monocyte")
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def sealed(number: int, **changes: str | None) -> SealedImage:
    image = SealedImage(
        f"{number:064x}", ".jpg", "lymphocyte", "anna, dr.", f"slide:s{number}", "train", "pi-1", f"s{number}", None,
        "Wright-Giemsa", 0.13, NOON, f"uploads/pi-1/2026/11/01/{number}.jpg",
    )  # fmt: skip
    return replace(image, **changes)


@pytest.fixture
def batches(tmp_path: Path) -> Path:
    write(tmp_path, "b1", sealed(1), sealed(2, label=None), sealed(3, side="test"))
    return tmp_path


def write(folder: Path, batch: str, *images: SealedImage) -> None:
    images_path(folder, batch).write_bytes(to_csv(images, SealedImage))
    (folder / batch).mkdir()
    for image in images:
        (folder / batch / f"{image.sha256}{image.suffix}").touch()


def test_what_is_sealed_is_what_is_read(batches: Path) -> None:
    link = SealedLink("slide:s9", f"{1:064x}", 'near-duplicate, "close"', "pi-1", "s9", None, NOON)
    links_path(batches, "b1").write_bytes(to_csv([link], SealedLink))
    history = read_history(batches)
    assert list(history.all_images()) == [sealed(1), sealed(2, label=None), sealed(3, side="test")]
    assert list(history.all_links()) == [link]


def test_labelled_images_are_listed_and_the_others_counted(batches: Path) -> None:
    manifest = assemble(batches, CLASSES)
    assert [(row.image, row.side) for row in manifest.rows] == [
        (f"{batches}/b1/{1:064x}.jpg", "train"),
        (f"{batches}/b1/{3:064x}.jpg", "test"),
    ]
    assert (manifest.unlabelled, manifest.batches) == (1, 1)


def test_no_images_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dvc pull.*hemaloop upload.*make demo"):
        assemble(tmp_path, CLASSES)


def test_no_labels_says_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, "b1", sealed(1, label=None))
    with pytest.raises(DataError, match=r"none of the images has a label.*--labels"):
        assemble(tmp_path, CLASSES)


def test_a_group_on_two_sides_stops_the_pipeline(batches: Path) -> None:
    write(batches, "b2", sealed(4, group="slide:s1", slide="s1", side="test"))
    with pytest.raises(DataError, match=r"group slide:s1 is on two sides, train and test"):
        assemble(batches, CLASSES)


def test_an_unknown_label_stops_the_pipeline(batches: Path) -> None:
    write(batches, "b2", sealed(4, label="blast"))
    with pytest.raises(DataError, match=r"b2.csv: image 0.*4 is labelled 'blast': wanted one of lymphocyte, monocyte"):
        assemble(batches, CLASSES)


def test_an_image_in_two_batches_stops_the_pipeline(batches: Path) -> None:
    write(batches, "b2", sealed(1))
    with pytest.raises(DataError, match="is in two batches, b1 and b2"):
        assemble(batches, CLASSES)


def test_an_image_that_is_not_here_stops_the_pipeline(batches: Path) -> None:
    (batches / "b1" / f"{3:064x}.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 3 images are not here.*dvc pull"):
        assemble(batches, CLASSES)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sha256,suffix", "sha,suffix", "wanted the columns"),
        (",test,", ",tests,", "side 'tests': wanted one of train, validation, test"),
        ("2026-11-01T12", "noon", "Invalid isoformat"),
        (",0.13,", ",wide,", "could not convert"),
        ("pi-1,s1", "s1", "wanted 13 values, got 12"),
    ],
)
def test_an_edited_batch_stops_the_pipeline(batches: Path, old: str, new: str, message: str) -> None:
    path = images_path(batches, "b1")
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        assemble(batches, CLASSES)
