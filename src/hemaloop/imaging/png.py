"""The structure of a PNG file.

Sources: ISO/IEC 15948 (PNG), third edition: clauses 5 (chunks), 8 (interlacing) and 11 (chunks' contents, APNG's too).
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from hemaloop.imaging.contents import (
    ANIMATED,
    BOMB,
    LARGEST_DECODED,
    LARGEST_PIXELS,
    LARGEST_TEXT,
    MOST_PARTS,
    POLYGLOT,
    TRUNCATED,
    UNDECODABLE,
    Container,
)
from hemaloop.imaging.polyglot import find_appended, find_embedded

START = b"\x89PNG\r\n\x1a\n"

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # stored, by colour type
_PALETTE = 3
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})
_XMP = b"XML:com.adobe.xmp\0"
_AUTHOR = b"Author\0"
_COPIES = 2  # of the picture, that OpenCV's decoder holds
_PIECE = 1 << 16  # bytes inflated at once: at most about a thousand times as many come out
# (first column, first row, columns apart, rows apart) of each pass, clause 8.2
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(frozen=True)
class Chunk:
    kind: bytes
    start: int  # of its length
    body: int
    end: int  # of its checksum


def split(data: bytes) -> tuple[list[Chunk], str]:
    """The chunks of a PNG up to IEND, and what is wrong: "", truncated, undecodable or bomb."""
    found: list[Chunk] = []
    view = memoryview(data)
    at = len(START)
    while len(found) < MOST_PARTS:
        body = at + 8
        end = body + int.from_bytes(data[at : at + 4], "big") + 4
        if body > len(data) or end > len(data):
            return found, TRUNCATED
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return found, UNDECODABLE
        found.append(Chunk(data[at + 4 : body], at, body, end))
        if found[-1].kind == b"IEND":
            return found, ""
        at = end
    return found, BOMB


def pack(kind: bytes, body: bytes) -> bytes:
    """A chunk's bytes, with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def read(data: bytes) -> Container:
    """What a PNG says of itself."""
    chunks, problem = split(data)
    texts = [(chunk.kind, data[chunk.body : chunk.end - 4]) for chunk in chunks if chunk.kind in _TEXTS]
    animations = [data[chunk.body : chunk.end - 4] for chunk in chunks if chunk.kind == b"acTL"]
    found = Container(
        "png",
        problem,
        exif=tuple(data[chunk.body : chunk.end - 4] for chunk in chunks if chunk.kind == b"eXIf"),
        xmp=tuple(body for _, body in texts if body.startswith(_XMP)),
        authors=tuple(body[len(_AUTHOR) :] for kind, body in texts if kind == b"tEXt" and body.startswith(_AUTHOR)),
        frames=max([1, *(int.from_bytes(body[:4], "big") for body in animations)]),
        after_end=len(data) - chunks[-1].end if chunks and chunks[-1].kind == b"IEND" else 0,
    )
    return _examined(data, chunks, texts, found)


def _examined(
    data: bytes, chunks: Sequence[Chunk], texts: Sequence[tuple[bytes, bytes]], found: Container
) -> Container:
    header = data[chunks[0].body : chunks[0].end - 4] if chunks and chunks[0].kind == b"IHDR" else b""
    if len(header) != 13 or header[9] not in _CHANNELS or sum(chunk.kind == b"IHDR" for chunk in chunks) > 1:
        return replace(found, problem=found.problem or UNDECODABLE)
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    depth, colour, interlaced = header[8], header[9], header[12] == 1
    found = replace(found, width=width, height=height, channels=_channels(colour), bit_depth=depth)
    raw = raw_bytes(width, height, depth * _CHANNELS[colour], interlaced)
    found = replace(found, decoded=max(raw, _COPIES * 3 * width * height))
    if found.problem or not 0 < width * height <= LARGEST_PIXELS or found.decoded > LARGEST_DECODED:
        return found
    if any(_inflates_beyond(kind, body) for kind, body in texts):
        return replace(found, problem=BOMB, note=f"a text or profile of more than {LARGEST_TEXT:,} bytes")
    if found.frames > 1:
        return replace(found, problem=ANIMATED, note=f"{found.frames} frames (APNG): send one picture")
    other = find_appended(data[chunks[-1].end :]) or find_embedded(body for _, body in texts)
    if other:
        return replace(found, problem=POLYGLOT, note=f"there is {other} in it")
    compressed = (memoryview(data)[chunk.body : chunk.end - 4] for chunk in chunks if chunk.kind == b"IDAT")
    return _inflated(found, compressed, raw)


def _channels(colour: int) -> int:
    return 3 if colour == _PALETTE else _CHANNELS[colour]


def raw_bytes(width: int, height: int, bits: int, interlaced: bool) -> int:
    """Bytes of the inflated, still filtered picture; `bits` of one pixel."""
    if not interlaced:
        return height * (1 + (width * bits + 7) // 8)
    total = 0
    for left, top, across, down in ADAM7:
        columns, rows = max(0, -(-(width - left) // across)), max(0, -(-(height - top) // down))
        total += rows * (1 + (columns * bits + 7) // 8) if columns else 0
    return total


def _inflated(found: Container, compressed: Iterable[memoryview], raw: int) -> Container:
    """Whether the picture's data are as many as declared: libpng stops at the declared size without a word."""
    total = 0
    try:
        for size in inflate(compressed):
            total += size
            if total > raw:
                return replace(found, problem=BOMB, note=f"its data inflate beyond the {raw:,} bytes it declares")
    except zlib.error as error:
        return replace(found, problem=UNDECODABLE, note=str(error))
    return found if total == raw else replace(found, problem=UNDECODABLE, note=f"{total:,} of {raw:,} bytes are there")


def inflate(compressed: Iterable[memoryview]) -> Iterator[int]:
    """Bytes that come out of a zlib stream, piece by piece; none is kept.

    Raises:
        zlib.error: it is no zlib stream, or a damaged one.
    """
    stream = zlib.decompressobj()
    for part in compressed:
        for at in range(0, len(part), _PIECE):
            piece: bytes | memoryview = part[at : at + _PIECE]
            while piece and not stream.eof:
                yield len(stream.decompress(piece, 16 * _PIECE))
                piece = stream.unconsumed_tail


def _inflates_beyond(kind: bytes, body: bytes) -> bool:
    if len(body) > LARGEST_TEXT:
        return True
    start = body.find(b"\0") + 2
    if kind == b"tEXt" or (kind == b"iTXt" and body[start - 1 : start] != b"\1"):
        return False
    if kind == b"iTXt":  # flag, method, language, translated keyword, text
        start = body.find(b"\0", body.find(b"\0", start + 1) + 1) + 1
    total = 0
    try:
        for size in inflate([memoryview(body)[start:]]):
            total += size
            if total > LARGEST_TEXT:
                return True
    except zlib.error:
        return False  # nobody can read it, so it costs nothing
    return False
