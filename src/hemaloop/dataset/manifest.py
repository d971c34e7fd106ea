"""The manifest: every labelled image of a revision and its side, checked."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hemaloop.dataset.groups import Components
from hemaloop.dataset.records import EXCLUDED, History, SealedImage, images_path, read_history
from hemaloop.dataset.split import component_sides, effective_side, recorded_sides
from hemaloop.errors import DataError


@dataclass(frozen=True)
class ManifestRow:
    """A row of data/manifest.csv."""

    image: str  # path from the repository's root
    sha256: str
    label: str
    group: str  # the component's name, where several groups turned out to be one
    side: str  # train, validation, test or excluded
    device: str
    slide: str | None
    patient: str | None
    stain: str | None
    um_per_px: float | None
    captured_at: datetime
    batch: str
    upload: str


@dataclass(frozen=True)
class Manifest:
    rows: tuple[ManifestRow, ...]  # labelled images, in order of batch and sha256
    batches: int
    unlabelled: int  # images left out because nobody has labelled them yet

    @property
    def excluded(self) -> tuple[ManifestRow, ...]:
        return tuple(row for row in self.rows if row.side == EXCLUDED)


def assemble(folder: Path, classes: Sequence[str]) -> Manifest:
    """Read and check data/batches of a clone.

    Raises:
        DataError: there are no batches or no labelled images, an image is not here or is in two batches, a label is
            not one of `classes`, or a group is on two sides.
    """
    history = read_history(folder)
    if not any(history.images.values()):
        raise DataError(
            f"{folder} holds no images: get those of this revision with `git pull && dvc pull`, "
            "send some with `hemaloop upload` and `hemaloop ingest`, or see the whole loop with `make demo`"
        )
    _check_labels(history, folder, classes)
    _check_doubles(history)
    _check_present(history, folder)
    rows = tuple(manifest_rows(history, folder))
    if not rows:
        raise DataError(f"{folder}: none of the images has a label: upload images with `--labels`, or label some")
    check_sides(rows)
    unlabelled = sum(image.label is None for image in history.all_images())
    return Manifest(rows, len(history.images), unlabelled)


def check_sides(rows: Iterable[ManifestRow]) -> None:
    """The promise itself, checked apart from the rules that keep it.

    Raises:
        DataError: a group, a patient or a slide is on two of train, validation and test.
    """
    sides: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.side == EXCLUDED:
            continue
        for kind, name in (("group", row.group), ("patient", row.patient), ("slide", row.slide)):
            if name is not None and sides.setdefault((kind, name), row.side) != row.side:
                raise DataError(
                    f"{kind} {name} is on two sides, {sides[kind, name]} and {row.side} (image {row.image}): "
                    "undo the commit that changed data/batches/*.csv"
                )


def count_images(rows: Iterable[ManifestRow]) -> Counter[tuple[str, str]]:
    """Images by label and side."""
    return Counter((row.label, row.side) for row in rows)


def manifest_rows(history: History, folder: Path) -> Iterable[ManifestRow]:
    """The labelled images and their sides. Raises: DataError: a group is recorded on two sides."""
    components = Components(history.all_images(), history.all_links())
    sides = component_sides(recorded_sides(history.all_images()), components)
    for batch, images in history.images.items():
        for image in images:
            if image.label is not None:
                side = effective_side(image, components, sides)
                path = f"{folder.as_posix()}/{batch}/{image.sha256}{image.suffix}"
                yield _row(image, image.label, path, components.of(image.group), side, batch)


def _row(image: SealedImage, label: str, path: str, group: str, side: str, batch: str) -> ManifestRow:
    return ManifestRow(
        image=path, sha256=image.sha256, label=label, group=group, side=side, device=image.device, slide=image.slide,
        patient=image.patient, stain=image.stain, um_per_px=image.um_per_px, captured_at=image.captured_at,
        batch=batch, upload=image.upload,
    )  # fmt: skip


def _check_labels(history: History, folder: Path, classes: Sequence[str]) -> None:
    for batch, images in history.images.items():
        for image in images:
            if image.label is not None and image.label not in classes:
                raise DataError(
                    f"{images_path(folder, batch)}: image {image.sha256} is labelled {image.label!r}: wanted one of "
                    f"{', '.join(classes)}; correct the label, or add the class to params.yaml"
                )


def _check_doubles(history: History) -> None:
    seen: dict[str, str] = {}
    for batch, images in history.images.items():
        for image in images:
            if image.sha256 in seen:
                raise DataError(f"image {image.sha256} is in two batches, {seen[image.sha256]} and {batch}")
            seen[image.sha256] = batch


def _check_present(history: History, folder: Path) -> None:
    for batch, images in history.images.items():
        place = folder / batch
        here = {path.name for path in place.iterdir()} if place.is_dir() else set()
        missing = [image for image in images if f"{image.sha256}{image.suffix}" not in here]
        if missing:
            raise DataError(
                f"{place}: {len(missing)} of {len(images)} images are not here (the first: {missing[0].sha256}): "
                "get them with `dvc pull`"
            )
