"""What a JPEG or PNG file says of itself before anything is decoded.

OpenCV decodes a truncated JPEG without a word, the missing part grey; it allocates whatever size a header declares;
and it looks neither behind the end nor at a second frame. All that is found here, by walking the file's own
structure, in a bounded number of steps and bytes.
"""

from dataclasses import replace

from hemaloop.imaging import jpeg, png
from hemaloop.imaging.contents import (
    ANIMATED,
    BOMB,
    EMPTY,
    LARGEST_DECODED,
    LARGEST_PIXELS,
    NOT_AN_IMAGE,
    POLYGLOT,
    TOO_LARGE,
    TRUNCATED,
    UNDECODABLE,
    Container,
)
from hemaloop.imaging.polyglot import name_of

__all__ = [
    "ANIMATED",
    "BOMB",
    "EMPTY",
    "LARGEST_PIXELS",
    "NOT_AN_IMAGE",
    "POLYGLOT",
    "TOO_LARGE",
    "TRUNCATED",
    "UNDECODABLE",
    "Container",
    "read_container",
]


def read_container(data: bytes) -> Container:
    """Walk a file's structure. Never raises, whatever the bytes."""
    if not data:
        return Container(problem=EMPTY)
    if data.startswith(jpeg.START):
        return _judged(jpeg.read(data))
    if data.startswith(png.START):
        return _judged(png.read(data))
    name = name_of(data)
    return Container(problem=NOT_AN_IMAGE, note=f"it begins like {name}: wanted a JPEG or a PNG" if name else "")


def _judged(found: Container) -> Container:
    """Too large comes before everything else: such a file is not looked at further."""
    pixels = found.width * found.height
    if pixels > LARGEST_PIXELS:
        return replace(found, problem=TOO_LARGE, note=f"{pixels:,} pixels, wanted at most {LARGEST_PIXELS:,}")
    if found.decoded > LARGEST_DECODED:
        note = f"decoding it needs {found.decoded:,} bytes, wanted at most {LARGEST_DECODED:,}"
        return replace(found, problem=TOO_LARGE, note=note)
    if not found.problem and not pixels:
        return replace(found, problem=UNDECODABLE, note="it declares no size")
    return found
