"""Files that are two things at once: a picture to OpenCV, a page, a program or an archive to something else.

Sources: Albertini 2015, "Abusing file formats", PoC||GTFO 7; Magazinius et al. 2013, "Polyglots: crossing origins by
crossing formats". The magic numbers are those of file(1).
"""

import re
from collections.abc import Iterable

_PADDING = b"\0\xff \t\r\n"
_MOST_UNKNOWN = 4096  # bytes behind the end; some cameras leave a note of their own there

_STARTS = {
    b"\xff\xd8\xff": "a JPEG",
    b"\x89PNG\r\n": "a PNG",
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"PK\3\4": "a ZIP archive",
    b"PK\5\6": "a ZIP archive",
    b"%PDF-": "a PDF",
    b"MZ": "a Windows program",
    b"\x7fELF": "a Linux program",
    b"#!": "a script",
    b"\x1f\x8b\x08": "a gzip archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"<?xml": "an XML document",
    b"<svg": "an SVG",
}
# Long enough not to occur by chance.
_ANYWHERE = re.compile(
    rb"(?P<a_ZIP_archive>PK\x03\x04|PK\x05\x06\0\0\0\0)|(?P<a_PDF>%PDF-\d)|(?P<a_RAR_archive>Rar!\x1a\x07)"
    rb"|(?P<a_web_page><!doctype html|<html|<script)|(?P<a_PHP_script><\?php)|(?P<a_7z_archive>7z\xbc\xaf\x27\x1c)"
    rb"|(?P<a_Linux_program>\x7fELF[\1\2][\1\2]\1)|(?P<a_Windows_program>This program cannot be run in DOS mode)",
    re.IGNORECASE,
)
_PICTURE = re.compile(
    rb"(?P<a_second_JPEG>\xff\xd8\xff[\xc0-\xfe])|(?P<a_second_PNG>\x89PNG\r\n\x1a\n)|(?P<a_GIF>GIF8[79]a)"
    rb"|(?P<a_WebP>RIFF....WEBP)|(?P<an_MP4_or_HEIC>ftyp(?:mp4|isom|avc1|qt  |heic|heix|mif1|avif))",
    re.DOTALL,
)


def name_of(data: bytes) -> str:
    """What a file is that begins with these bytes, with its article; "" where nothing is recognised."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "a WebP"
    if data[4:8] == b"ftyp":
        return "an MP4 or HEIC"
    page = _ANYWHERE.match(data[:64].lstrip(_PADDING))
    return _named(page) or next((name for start, name in _STARTS.items() if data.startswith(start)), "")


def find_embedded(metadata: Iterable[bytes]) -> str:
    """The other file that an image's metadata hold, with its article; a thumbnail is none. "" for nothing."""
    return next((name for name in (_named(_ANYWHERE.search(part)) for part in metadata) if name), "")


def find_appended(trailing: bytes) -> str:
    """The other file behind an image's end, with its article; "" for nothing, for padding and for a few bytes."""
    rest = trailing.strip(_PADDING)
    name = name_of(rest) or _named(_ANYWHERE.search(rest)) or _named(_PICTURE.search(rest))
    return name or (f"{len(rest):,} unknown bytes" if len(rest) > _MOST_UNKNOWN else "")


def _named(match: re.Match[bytes] | None) -> str:
    return (match.lastgroup or "").replace("_", " ") if match else ""
