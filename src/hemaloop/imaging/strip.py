"""An image without what its metadata say of people, places and devices; its pixels are not touched.

What is needed to show the picture is kept, everything else goes: what is not known to be harmless is not kept.
Colour profiles stay, since colours are what a stain is told by.
"""

import struct
from collections.abc import Iterable, Iterator

from hemaloop.errors import DataError
from hemaloop.imaging import jpeg, png
from hemaloop.imaging.exif import read_orientation

# Frames, Huffman and arithmetic tables, quantisation, number of lines, restarts, scans and the end.
_SHOWN_SEGMENTS = jpeg.FRAMES | {0xC4, 0xCC, 0xDB, 0xDC, 0xDD, jpeg.SCAN, jpeg.END}
_UPRIGHT = 1
_SHOWN_CHUNKS = frozenset(
    {
        b"IHDR",
        b"PLTE",
        b"IDAT",
        b"IEND",
        b"tRNS",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"iCCP",
        b"cICP",
        b"sBIT",
        b"bKGD",
        b"pHYs",
    }
)


def strip_private(data: bytes) -> bytes:
    """A JPEG or PNG without EXIF, XMP, IPTC, comments, thumbnails, other frames and what stands behind its end.

    Of EXIF only the orientation is left, where it turns the picture. The same bytes give the same bytes; what was
    stripped once does not change any more.

    Raises:
        DataError: it is neither a JPEG nor a PNG, or it is truncated or damaged.
    """
    if data.startswith(jpeg.START):
        return b"".join(_strip_jpeg(data))
    if data.startswith(png.START):
        return b"".join(_strip_png(data))
    raise DataError("the file is not an image: wanted a JPEG or a PNG")


def _strip_jpeg(data: bytes) -> Iterator[bytes]:
    segments, problem = jpeg.split(data)
    if problem:
        raise DataError(f"the JPEG is {problem}: its metadata cannot be removed")
    yield jpeg.START[:2]
    exif = [data[s.body + 2 : s.end].removeprefix(jpeg.EXIF) for s in segments if _is_exif(data, s)]
    if minimal := _orientation(exif):
        yield jpeg.pack(0xE1, jpeg.EXIF + minimal)
    for segment in segments:
        if segment.marker in _SHOWN_SEGMENTS:
            yield b"\xff" + data[segment.body - 1 : segment.end]  # without fill bytes
        elif segment.marker in jpeg.APPLICATION:
            yield _about_colours(segment.marker, data[segment.body + 2 : segment.end])


def _about_colours(marker: int, body: bytes) -> bytes:
    """What an application's segment says of how colours are to be read, without thumbnails and additions."""
    if marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14:
        return jpeg.pack(marker, body[:12] + b"\0\0")
    if marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
        return jpeg.pack(marker, body[:12])
    return jpeg.pack(marker, body) if marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") else b""


def _is_exif(data: bytes, segment: jpeg.Segment) -> bool:
    return segment.marker == 0xE1 and data.startswith(jpeg.EXIF, segment.body + 2)


def _strip_png(data: bytes) -> Iterator[bytes]:
    chunks, problem = png.split(data)
    if problem:
        raise DataError(f"the PNG is {problem}: its metadata cannot be removed")
    exif = [data[chunk.body : chunk.end - 4] for chunk in chunks if chunk.kind == b"eXIf"]
    # libpng keeps the first that begins as a TIFF does, and drops all others.
    minimal = _orientation([tiff for tiff in exif if tiff.startswith((b"II*\0", b"MM\0*"))][:1])
    yield png.START
    for chunk in chunks:
        if chunk.kind in _SHOWN_CHUNKS:
            yield data[chunk.start : chunk.end]
        if chunk.kind == b"IHDR" and minimal:
            yield png.pack(b"eXIf", minimal)


def _orientation(exif: Iterable[bytes]) -> bytes:
    """A TIFF structure that says the orientation alone; b"" for an upright picture. The first that says it counts."""
    turned = next((said for said in map(read_orientation, exif) if said is not None), _UPRIGHT)
    if turned == _UPRIGHT:
        return b""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, turned, 0, 0)
