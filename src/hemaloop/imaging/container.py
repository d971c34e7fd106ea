"""What a JPEG or PNG file says of itself before anything is decoded.

OpenCV decodes a truncated JPEG without a word, the missing part grey; and it allocates whatever
size a header declares. Both are found here, by walking the file's own structure.

Sources: ITU-T T.81 (JPEG) annex B; ISO/IEC 15948 (PNG) clause 5.
"""

import zlib
from dataclasses import dataclass

LARGEST_PIXELS = 100_000_000

EMPTY = "empty"
NOT_AN_IMAGE = "not_an_image"
TRUNCATED = "truncated"
UNDECODABLE = "undecodable"
TOO_LARGE = "too_large"

_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..15 without DHT, JPG and DAC
_ALONE = frozenset(range(0xD0, 0xD8)) | {0x01}  # markers without a length
_SCAN, _END = 0xDA, 0xD9
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type


@dataclass(frozen=True)
class Container:
    """A file's format, declared size and metadata; `problem` is "" where it may be decoded."""

    format: str = ""  # "jpeg", "png" or ""
    problem: str = ""
    width: int = 0  # as stored, before EXIF turns it
    height: int = 0
    channels: int = 0
    exif: tuple[bytes, ...] = ()  # TIFF structures
    xmp: tuple[bytes, ...] = ()


def read_container(data: bytes) -> Container:
    """Walk a file's structure. Never raises, whatever the bytes."""
    if not data:
        return Container(problem=EMPTY)
    if data.startswith(_JPEG_START):
        return _judged(_Jpeg(data).walk())
    if data.startswith(_PNG_START):
        return _judged(_Png(data).walk())
    return Container(problem=NOT_AN_IMAGE)


def _judged(found: Container) -> Container:
    """Too large comes before truncated: such a file is not looked at further."""
    problem = found.problem
    if found.width * found.height > LARGEST_PIXELS:
        problem = TOO_LARGE
    elif not problem and not found.width * found.height:
        problem = UNDECODABLE
    return Container(found.format, problem, found.width, found.height, found.channels, found.exif, found.xmp)


class _Jpeg:
    """Segments up to the first scan, then the end-of-image marker."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = (0, 0, 0)  # width, height, channels
        self.exif: list[bytes] = []
        self.xmp: list[bytes] = []

    def walk(self) -> Container:
        problem = self._walk()
        return Container("jpeg", problem, *self.size, tuple(self.exif), tuple(self.xmp))

    def _walk(self) -> str:
        at = 2
        while at + 4 <= len(self.data):
            if self.data[at] != 0xFF:
                return UNDECODABLE
            marker = self.data[at + 1]
            if marker == 0xFF:  # a fill byte
                at += 1
                continue
            if marker in _ALONE:
                at += 2
                continue
            if marker == _END:
                return UNDECODABLE  # an end without a scan
            if marker == _SCAN:
                # Inside a scan 0xFF is always followed by 0 or a restart: the end marker cannot occur by chance.
                return "" if self.data.find(_JPEG_END, at) >= 0 else TRUNCATED
            length = int.from_bytes(self.data[at + 2 : at + 4], "big")
            self._segment(marker, self.data[at + 4 : at + 2 + length])
            at += 2 + length
        return TRUNCATED

    def _segment(self, marker: int, body: bytes) -> None:
        if marker in _FRAMES and len(body) >= 6:
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            self.size = (width, height, body[5])
        elif marker == 0xE1 and body.startswith(_EXIF):
            self.exif.append(body[len(_EXIF) :])
        elif marker == 0xE1 and body.startswith(_XMP):
            self.xmp.append(body[len(_XMP) :])


class _Png:
    """Chunks with their checksums, up to IEND."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = (0, 0, 0)
        self.exif: list[bytes] = []
        self.xmp: list[bytes] = []

    def walk(self) -> Container:
        problem = self._walk()
        return Container("png", problem, *self.size, tuple(self.exif), tuple(self.xmp))

    def _walk(self) -> str:
        at = len(_PNG_START)
        while at + 12 <= len(self.data):
            length = int.from_bytes(self.data[at : at + 4], "big")
            kind, end = self.data[at + 4 : at + 8], at + 8 + length
            if end + 4 > len(self.data):
                return TRUNCATED
            if zlib.crc32(self.data[at + 4 : end]) != int.from_bytes(self.data[end : end + 4], "big"):
                return UNDECODABLE
            if kind == b"IEND":
                return ""
            self._chunk(kind, self.data[at + 8 : end])
            at = end + 4
        return TRUNCATED

    def _chunk(self, kind: bytes, body: bytes) -> None:
        if kind == b"IHDR" and len(body) >= 13:
            width, height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
            self.size = (width, height, _PNG_CHANNELS.get(body[9], 0))
        elif kind == b"eXIf":
            self.exif.append(body)
        elif kind == b"iTXt" and body.startswith(b"XML:com.adobe.xmp"):
            self.xmp.append(body)
