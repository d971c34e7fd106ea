"""The structure of a JPEG file.

Sources: ITU-T T.81 (JPEG) annex B; CIPA DC-007 (multi-picture format) for MPF; IPTC IIM 4.2 for by-lines.
"""

import re
import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hemaloop.imaging.contents import ANIMATED, BOMB, MOST_PARTS, POLYGLOT, TRUNCATED, UNDECODABLE, Container
from hemaloop.imaging.exif import count_pictures
from hemaloop.imaging.polyglot import find_appended, find_embedded

START = b"\xff\xd8\xff"
EXIF = b"Exif\0\0"
SCAN, END = 0xDA, 0xD9
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..15 without DHT, JPG and DAC
COMMENT = 0xFE
APPLICATION = range(0xE0, 0xF0)

_ALONE = frozenset(range(0xD0, 0xD8)) | {0x01}  # markers without a length
_TABLES, _PHOTOSHOP, _MULTIPLE = 0xDB, 0xED, 0xE2
_XMP = (b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0")
_FILL = re.compile(rb"\xff+")
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]", re.DOTALL)  # inside, 0xFF is followed by 0 or a restart
_BY_LINE = re.compile(rb"\x1c\x02[\x50\x76\x7a]\x00(?P<size>.)", re.DOTALL)  # by-line, contact, writer
_MOST_SCANS = 40  # a progressive camera image has about 10 ...
_MOST_PASSED = 500_000_000  # pixels ... and each scan is a pass over all of them: a second
_MOST_EXIF = 8

# ITU-T T.81 table K.1, in the order of the file: what every common encoder scales by its quality.
_LUMINANCE = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a1816161831232"
    "51d283a333d3c3933383740485c4e404457453738506d51"
    "575f626768673e4d71797064785c656763"
)


@dataclass(frozen=True)
class Segment:
    """One marker and what belongs to it; of a scan, its entropy-coded data too."""

    marker: int
    start: int  # of its 0xFF
    body: int
    end: int


def split(data: bytes) -> tuple[list[Segment], str]:
    """The segments of a JPEG up to its end marker, and what is wrong: "", truncated, undecodable or bomb."""
    found: list[Segment] = []
    at = 2
    while len(found) < MOST_PARTS:
        if at + 2 > len(data):
            return found, TRUNCATED
        fill = _FILL.match(data, at)
        if fill is None:
            return found, UNDECODABLE
        body = fill.end() + 1
        if body > len(data):
            return found, TRUNCATED
        marker = data[body - 1]
        end = body if marker in _ALONE or marker == END else _end(data, marker, body)
        if end < 0 or end > len(data):
            return found, UNDECODABLE if end == _NO_LENGTH else TRUNCATED
        found.append(Segment(marker, at, body, end))
        if marker == END:
            return found, "" if any(segment.marker == SCAN for segment in found) else UNDECODABLE
        at = end
    return found, BOMB


def pack(marker: int, body: bytes) -> bytes:
    """A segment's bytes; a body of at most 65,533."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


_NO_LENGTH, _NO_END = -1, -2


def _end(data: bytes, marker: int, body: int) -> int:
    length = int.from_bytes(data[body : body + 2], "big")
    if body + 2 > len(data):
        return _NO_END
    if marker == 0 or length < 2:
        return _NO_LENGTH
    if marker != SCAN:
        return body + length
    following = _AFTER_SCAN.search(data, body + length)
    return following.start() if following else _NO_END


def read(data: bytes) -> Container:
    """What a JPEG says of itself."""
    segments, problem = split(data)
    metadata = [data[s.body + 2 : s.end] for s in segments if s.marker in APPLICATION or s.marker == COMMENT]
    exif = tuple(part[len(EXIF) :] for part in metadata if part.startswith(EXIF))
    trailing = data[segments[-1].end :] if segments and segments[-1].marker == END else b""
    pictures = max((count_pictures(part[4:]) for part in metadata if part.startswith(b"MPF\0")), default=1)
    found = Container(
        "jpeg",
        problem,
        exif=exif,
        xmp=tuple(part for part in metadata if part.startswith(_XMP)),
        authors=tuple(_by_line(part) for part in metadata if part.startswith(b"Photoshop 3.0\0")),
        frames=pictures,
        after_end=len(trailing),
    )
    found = _with_frame(data, segments, found)
    if found.problem:
        return found
    scans = sum(segment.marker == SCAN for segment in segments)
    if scans > _MOST_SCANS or scans * found.width * found.height > _MOST_PASSED or len(exif) > _MOST_EXIF:
        return replace(found, problem=BOMB, note=f"{scans} scans, {len(exif)} EXIF structures: no camera writes that")
    if pictures > 1:
        return replace(found, problem=ANIMATED, note=f"{pictures} pictures in one file (MPF): send one picture")
    other = find_appended(trailing) or find_embedded(metadata)
    return replace(found, problem=POLYGLOT, note=f"there is {other} in it") if other else found


def _with_frame(data: bytes, segments: Sequence[Segment], found: Container) -> Container:
    """The size and depth that the one frame header declares, and the quality."""
    frames = [s for s in segments if s.marker in FRAMES]
    body = data[frames[0].body + 2 : frames[0].end] if frames else b""
    if len(body) < 9 or len(body) < 6 + 3 * body[5]:
        return replace(found, problem=found.problem or UNDECODABLE)
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    found = replace(found, width=width, height=height, channels=body[5], bit_depth=body[0])
    if len(frames) > 1 or body[5] not in (1, 3) or body[0] != 8:
        note = (
            f"{len(frames)} frame headers, {body[5]} channels of {body[0]} bits: wanted one, grey or YCbCr, of 8 bits"
        )
        return replace(found, problem=found.problem or UNDECODABLE, note=note)
    tables = [data[s.body + 2 : s.end] for s in segments if s.marker == _TABLES]
    buffered = sum(s.marker == SCAN for s in segments) > 1 or frames[0].marker not in (0xC0, 0xC1)
    return replace(found, quality=quality(tables, body[8]), decoded=_coefficients(body) if buffered else 0)


def _coefficients(body: bytes) -> int:
    """Bytes of all DCT coefficients: what a decoder holds until the last of several scans."""
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    sampling = [(body[at] >> 4, body[at] & 15) for at in range(7, 6 + 3 * body[5], 3)]
    largest = max(1, max(h for h, _ in sampling)) * max(1, max(v for _, v in sampling))
    return 2 * width * height * sum(h * v for h, v in sampling) // largest


def quality(tables: Sequence[bytes], number: int = 0) -> int:
    """A JPEG's quality on libjpeg's scale, 1 to 100, as its quantisation table `number` tells; 0 where it has none.

    An estimate: the quality whose scaled standard table has the nearest sum. Exact for what libjpeg wrote.

    Args:
        tables: bodies of DQT segments.

    Source: libjpeg, jcparam.c, jpeg_quality_scaling.
    """
    for table in _read_tables(tables):
        if table[0] == number:
            return _nearest(table[1])
    return 0


def _read_tables(tables: Sequence[bytes]) -> list[tuple[int, int]]:
    """(number, sum) of each table."""
    found = []
    for body in tables:
        at = 0
        while at < len(body):
            wide, number = body[at] >> 4, body[at] & 15
            values = body[at + 1 : at + 1 + 64 * (2 if wide else 1)]
            found.append((number, 256 * sum(values[0::2]) + sum(values[1::2]) if wide else sum(values)))
            at += 1 + 64 * (2 if wide else 1)
    return found


def _scaled_sum(percent: int) -> int:
    scale = 5000 // percent if percent < 50 else 200 - 2 * percent
    return sum(min(255, max(1, (value * scale + 50) // 100)) for value in _LUMINANCE)


_SUMS = [_scaled_sum(percent) for percent in range(100, 0, -1)]  # rising


def _nearest(total: int) -> int:
    place = bisect_left(_SUMS, total)
    near = min((p for p in (place - 1, place) if 0 <= p < 100), key=lambda p: abs(_SUMS[p] - total))
    return 100 - near


def _by_line(part: bytes) -> bytes:
    found = _BY_LINE.search(part)
    return part[found.end() : found.end() + found["size"][0]] if found else b""
