"""Put a batch's images into DVC's cache and remote."""

import hashlib
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hemaloop.dataset.batch import Batch, BatchImage
from hemaloop.dataset.clone import BATCHES, Clone
from hemaloop.dataset.commands import THEN
from hemaloop.errors import DataError

READERS = 8  # images of a batch that are read at once

Read = Callable[[BatchImage], bytes]


def store(clone: Clone, batch: Batch, read: Read) -> bytes:
    """Put the images into DVC's cache and remote; the content of <id>.dvc. What is there already is kept."""
    folder = clone.folder / BATCHES / batch.id
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {image.name for image in batch.images}
    for path in folder.iterdir():
        if path.name not in wanted:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with ThreadPoolExecutor(READERS) as readers:
        for _ in readers.map(lambda image: _write(folder / image.name, image, read), batch.images):
            pass
    target = f"{BATCHES}/{batch.id}"
    clone.run.dvc("add", target, THEN, "push", f"{target}.dvc")
    return (clone.folder / f"{target}.dvc").read_bytes()


def _write(path: Path, image: BatchImage, read: Read) -> None:
    if path.is_file() and _sha256(path.read_bytes()) == image.sha256:
        return
    data = read(image)
    if _sha256(data) != image.sha256:
        raise DataError(f"upload {image.upload}: wanted sha256 {image.sha256}, got {_sha256(data)}: it has changed")
    path.unlink(missing_ok=True)  # it may be a link into DVC's cache
    path.write_bytes(data)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
