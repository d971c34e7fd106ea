"""Whether a clone holds exactly what its revision says: after `git checkout` and `dvc pull`, of any revision."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hemaloop.dataset.clone import BATCHES
from hemaloop.dataset.records import SealedImage, images_path, read_history


def verify(clone: Path) -> tuple[str, ...]:
    """What is wrong with the images of the clone in `clone`, a line each; nothing, where all is well.

    Each image that a batch names is there and has the SHA-256 that is its name; no other file is, and no image is in
    two batches.

    Raises:
        DataError: a batch's CSV is not as it was written.
    """
    folder = clone / BATCHES
    history = read_history(folder)
    problems = list(_doubles(history.images))
    for batch, images in history.images.items():
        problems += _problems(folder / batch, images)
        if images and not images_path(folder, batch).with_suffix(".dvc").is_file():
            problems.append(f"{batch}: there is no {batch}.dvc: nothing says where its images are")
    return tuple(problems)


def _doubles(batches: dict[str, tuple[SealedImage, ...]]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for batch, images in batches.items():
        for image in images:
            if seen.setdefault(image.sha256, batch) != batch:
                yield f"{batch}: image {image.sha256} is in batch {seen[image.sha256]} too"


def _problems(folder: Path, images: tuple[SealedImage, ...]) -> list[str]:
    wanted = {f"{image.sha256}{image.suffix}": image.sha256 for image in images}
    here = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    problems = [f"{folder.name}: {name} is not here" for name in sorted(wanted.keys() - here)]
    problems += [f"{folder.name}: {name} is in no row of the batch" for name in sorted(here - wanted.keys())]
    present = sorted(wanted.keys() & here)
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # hashing lets go of the interpreter's lock
        found = dict(zip(present, threads.map(lambda name: _sha256(folder / name), present), strict=True))
    return problems + [
        f"{folder.name}: {name} has SHA-256 {found[name]}" for name in present if found[name] != wanted[name]
    ]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
