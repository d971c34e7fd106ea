"""Labelled images as `hemaloop import` takes them: each in a folder named after its class; slides hold such folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hemaloop.errors import DataError
from hemaloop.inference.lines import image_files


@dataclass(frozen=True)
class LabelledImage:
    path: Path
    label: str
    slide: str  # "" where no folder tells


def labelled_images(folder: Path, classes: Sequence[str]) -> tuple[LabelledImage, ...]:
    """Images in <folder>/<class>/, or <folder>/<slide>/<class>/, in order of path.

    Raises:
        DataError: there is no image, or a folder is none of `classes`.
    """
    found = tuple(_labelled(path, path.relative_to(folder).parts) for path in image_files([folder]))
    unknown = sorted({image.label for image in found} - set(classes))
    if unknown or not found:
        got = ", ".join(name or "images in no folder" for name in unknown) or "no image"
        raise DataError(f"{folder}: wanted images in folders named after classes ({', '.join(classes)}), got {got}")
    return found


def _labelled(path: Path, parts: Sequence[str]) -> LabelledImage:
    """`parts`: of the path within the folder, the file's name last."""
    return LabelledImage(path, parts[-2] if len(parts) > 1 else "", "/".join(parts[:-2]))
