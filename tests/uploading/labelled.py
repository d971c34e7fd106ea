"""Folders of labelled images in the three forms, of synthetic smears."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hemaloop.imaging.decode import encode_jpeg
from hemaloop.imaging.smear import Slide, draw

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")


@cache
def image(seed: int, label: str = "neutrophil") -> bytes:
    return encode_jpeg(draw(label, Slide.of(seed), seed))


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def box(name: str, *corners: object) -> str:
    values = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    inside = "".join(f"<{corner}>{value}</{corner}>" for corner, value in values)
    return f"<object><name>{name}</name><bndbox>{inside}</bndbox></object>"


def annotation(filename: str, boxes: Sequence[str]) -> bytes:
    return f"<annotation><filename>{filename}</filename>{''.join(boxes)}</annotation>".encode()
