"""Files that are broken, forged or made to do harm, drawn by code: what an open door must expect.

`corpus` must all be refused, each for its reason; `harmless` only looks odd, and must all be let in. Sources: the
structures are those of jpeg.py and png.py; the ideas, of the libpng and libjpeg-turbo advisories and of PoC||GTFO.
"""

import random
import struct
import zlib
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging import faults, jpeg, png
from hemaloop.imaging.decode import Image, encode_jpeg
from hemaloop.imaging.smear import CLASSES, Slide, draw

Corpus = dict[str, tuple[bytes, frozenset[str]]]  # by name: the file, and the reasons that may refuse it

Pixels = NDArray[np.uint8] | NDArray[np.uint16]

_ZIP = b"PK\3\4" + bytes(26) + b"a.txt" + b"PK\5\6" + bytes(18)
_PAGE = b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>"
_PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
_PROGRAM = b"MZ\x90\0" + bytes(60) + b"This program cannot be run in DOS mode.\r\n"
_ARTIST, _SERIAL, _USER_COMMENT, _PICTURES = 0x013B, 0xC62F, 0x9286, 0xB001


def corpus(seed: int) -> Corpus:
    """More than 80 files; the same seed draws the same."""
    picture = draw(CLASSES[seed % len(CLASSES)], Slide.of(seed), seed)
    photo, drawing = encode_jpeg(picture, 92), encode_png(picture)
    groups = (
        _cut(photo, drawing),
        _other_files(picture, seed),
        _too_large(photo, picture),
        _bombs(photo, picture),
        _several(photo, drawing),
        _two_at_once(photo, drawing, seed),
        _damaged(photo, drawing, picture),
        _private(photo, drawing),
        _not_worth_keeping(photo, picture),
    )
    return {name: (data, frozenset(reasons.split())) for group in groups for name, (data, reasons) in group.items()}


def harmless(seed: int) -> dict[str, bytes]:
    """Odd files that show one good picture and hide nothing."""
    picture = draw(CLASSES[seed % len(CLASSES)], Slide.of(seed), seed)
    photo, drawing = encode_jpeg(picture, 92), encode_png(picture)
    entries = b"".join(struct.pack("<HHII", tag, 2, 1_000_000, 8) for tag in range(0x1000, 0x2000))
    overlapping = b"II*\0\x08\0\0\0" + struct.pack("<H", 0x1000) + entries + bytes(1_000_000)
    return {
        "grey": _encoded(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)),
        "progressive": _encoded(".jpg", picture, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "restart intervals": _encoded(".jpg", picture, cv2.IMWRITE_JPEG_RST_INTERVAL, 3),
        "fill bytes": photo[:2] + b"\xff" * 1000 + photo[2:],
        "zeros behind the end": photo + bytes(100_000),
        "a note behind the end": photo + b"SEFH a maker's own note SEFT",
        "größe-血液, in a comment": _with(photo, jpeg.pack(0xFE, "größe-血液 \0\u202egpj".encode())),
        "jpeg with EXIF that overlaps itself": _with(photo, jpeg.pack(0xE1, jpeg.EXIF + overlapping[:60_000])),
        "png with EXIF that overlaps itself": _after_header(drawing, png.pack(b"eXIf", overlapping)),
        "EXIF of nonsense": _with(photo, jpeg.pack(0xE1, jpeg.EXIF + b"II*\0" + b"\xff" * 200)),
        "16 bits": encode_png(picture.astype(np.uint16) * 257),
        "transparent": encode_png(np.dstack((picture, np.full_like(picture[:, :, 0], 255)))),
        "interlaced": _interlaced(picture[::2, ::2]),
        "APNG of one frame": _after_header(drawing, png.pack(b"acTL", struct.pack(">II", 1, 0))),
        "chunks of its own": _after_header(drawing, png.pack(b"prVt", b"anything")),
    }


Files = dict[str, tuple[bytes, str]]  # reasons with blanks between them


def _cut(photo: bytes, drawing: bytes) -> Files:
    files = {f"jpeg cut at {share:.0%}": (faults.truncate(photo, share), "truncated") for share in _SHARES}
    files |= {f"png cut at {share:.0%}": (faults.truncate(drawing, share), "truncated") for share in _SHARES}
    for share in (0.2, 0.5, 0.8):
        forged = faults.truncate(photo, share) + b"\xff\xd9"
        files[f"jpeg cut at {share:.0%}, its end forged"] = forged, "truncated undecodable"
        forged = faults.truncate(drawing, share) + png.pack(b"IEND", b"")
        files[f"png cut at {share:.0%}, its end forged"] = forged, "truncated undecodable"
    files["jpeg without its end"] = photo[:-2], "truncated"
    files["jpeg cut, padded with zeros"] = faults.truncate(photo).ljust(len(photo), b"\0"), "truncated"
    return files


_SHARES = (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)


def _other_files(picture: Image, seed: int) -> Files:
    others = {
        "nothing": b"",
        "zeros": bytes(5000),
        "ones": b"\xff" * 5000,
        "noise": random.Random(seed).randbytes(5000),
        "a text": b"This is no image, whatever its name says.\n" * 100,
        "a web page": _PAGE * 20,
        "an archive": _ZIP * 20,
        "a PDF": _PDF * 20,
        "a program": _PROGRAM * 20,
        "a GIF": b"GIF89a\x01\0\x01\0\x80\0\0" + bytes(2000),
        "a HEIC": b"\0\0\0\x18ftypheic" + bytes(2000),
        "a BMP": _encoded(".bmp", picture),
        "a TIFF": _encoded(".tiff", picture),
        "a WebP": _encoded(".webp", picture),
        "a jpeg with a wrong first byte": b"\xfe" + encode_jpeg(picture)[1:],
        "a png sent as a text": encode_png(picture).replace(b"\r\n", b"\n"),
        "a jpeg in base64": b"/9j/4AAQSkZJRgABAQAAAQABAAD/" * 100,
    }
    return {name: (data, "not_an_image" if data else "empty") for name, data in others.items()}


def _too_large(photo: bytes, picture: Image) -> Files:
    progressive = _encoded(".jpg", picture, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    return {
        "jpeg of 65535 x 65535": (_resized(photo, 65535, 65535), "too_large"),
        "jpeg of 65535 x 1000": (_resized(photo, 65535, 1000), "too_large"),
        "jpeg of 6000 x 6000 with all coefficients": (_resized(progressive, 6000, 6000, 0x11), "too_large"),
        "png of 65535 x 65535": (_png(65535, 65535, b""), "too_large"),
        "png of 2^31 - 1": (_png(2**31 - 1, 2**31 - 1, b""), "too_large"),
        "png of 30000 x 30000, wholly there": (_png(30000, 30000, zlib.compress(bytes(30_030_000)) * 30), "too_large"),
        "png of 6000 x 6000 in 64 bits": (_png(6000, 6000, b"", 16, 6), "too_large"),
    }


def _bombs(photo: bytes, picture: Image) -> Files:
    much = zlib.compress(bytes(100_000_000))
    raw = zlib.compress(b"\0" * (301 * 100))
    progressive = _encoded(".jpg", picture, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    scan = jpeg.split(progressive)[0][-2]
    texts = {
        "zTXt": png.pack(b"zTXt", b"Comment\0\0" + much),
        "iTXt": png.pack(b"iTXt", b"Comment\0\1\0en\0\0" + much),
        "iCCP": png.pack(b"iCCP", b"profile\0\0" + much),
        "tEXt": png.pack(b"tEXt", b"Comment\0" + bytes(9_000_000)),
    }
    files = {f"png with a huge {name}": (_png(100, 100, raw, before=text), "bomb") for name, text in texts.items()}
    exif = jpeg.pack(0xE1, jpeg.EXIF + _tiff({_USER_COMMENT: bytes(60_000)}))
    again = progressive[scan.start : scan.end]
    files |= {
        "png that inflates beyond its size": (_png(100, 100, much), "bomb"),
        "png of 20000 chunks": (_png(100, 100, raw, before=png.pack(b"prVt", b"") * 20_000), "bomb"),
        "jpeg of 20000 comments": (_with(photo, jpeg.pack(0xFE, b"") * 20_000), "bomb"),
        "jpeg of 100 EXIF structures": (_with(photo, exif * 100), "bomb"),
        "jpeg of 100 scans": (progressive[: scan.end] + again * 100 + b"\xff\xd9", "bomb"),
    }
    return files


def _several(photo: bytes, drawing: bytes) -> Files:
    index = b"MPF\0II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, _PICTURES, 4, 1, 2, 0)
    frame = png.pack(b"fcTL", struct.pack(">IIIIIHHBB", 0, 360, 360, 0, 0, 1, 10, 0, 0))
    return {
        "APNG": (_after_header(drawing, png.pack(b"acTL", struct.pack(">II", 3, 0)) + frame), "animated"),
        "multi-picture jpeg": (_with(photo, jpeg.pack(0xE2, index)) + photo, "animated"),
    }


def _two_at_once(photo: bytes, drawing: bytes, seed: int) -> Files:
    behind = {
        "a ZIP": _ZIP, "a PDF": _PDF, "a page": _PAGE, "a program": _PROGRAM, "a script": b"#!/bin/sh\nexit\n",
        "a second jpeg": photo, "a second png": drawing, "a film": b"\0\0\0\x18ftypmp42" + bytes(500),
        "noise": random.Random(seed).randbytes(20_000), "zeros and a ZIP": bytes(9000) + _ZIP,
    }  # fmt: skip
    files = {f"{name} behind a jpeg": (photo + data, "polyglot") for name, data in behind.items()}
    files |= {f"{name} behind a png": (drawing + data, "polyglot") for name, data in behind.items()}
    hidden = _tiff({_USER_COMMENT: b"<?php system($_GET[0]); ?>"})
    files |= {
        "a page in a comment": (_with(photo, jpeg.pack(0xFE, b"-->" + _PAGE)), "polyglot"),
        "a PDF before a jpeg's picture": (_with(photo, jpeg.pack(0xFE, _PDF)), "polyglot"),
        "PHP in EXIF": (_with(photo, jpeg.pack(0xE1, jpeg.EXIF + hidden)), "polyglot"),
        "a page in a text": (_after_header(drawing, png.pack(b"tEXt", b"Title\0" + _PAGE)), "polyglot"),
    }
    return files


def _damaged(photo: bytes, drawing: bytes, picture: Image) -> Files:
    tables, frame = photo.index(b"\xff\xc4"), photo.index(b"\xff\xc0")
    quantised = photo.index(b"\xff\xdb")
    bent, quick = bytearray(drawing), zlib.compress(bytes(301 * 100))
    bent[len(bent) // 2] ^= 0xFF
    files = {
        "jpeg with impossible Huffman tables": photo[: tables + 5] + b"\xff" * 16 + photo[tables + 21 :],
        "jpeg without quantisation": photo[:quantised] + photo[frame:],
        "jpeg of a start alone": photo[:4] + b"\0\2" + b"\xff\xd9" * 100,
        "jpeg of nonsense": b"\xff\xd8\xff\xe0\0\x10" + b"nonsense" * 200,
        "jpeg without a size": _resized(photo, 360, 0),
        "jpeg of two frames": photo[:frame] + photo[frame : frame + 19] + photo[frame:],
        "jpeg of 12 bits": photo[: frame + 4] + b"\x0c" + photo[frame + 5 :],
        "jpeg in CMYK": _cmyk(picture),
        "png with a wrong checksum": bytes(bent),
        "png with a damaged stream": _png(100, 100, quick[:50] + bytes(9) + quick[50:]),
        "png with too few rows": _png(100, 100, zlib.compress(bytes(301 * 50))),
        "png without a header": drawing[:8] + drawing[33:],
        "png of two headers": drawing[:33] + drawing[8:],
        "png without its palette": _png(100, 100, zlib.compress(bytes(101 * 100)), 8, 3),
        "png without a size": _png(0, 0, quick),
        "png without a picture": drawing[:33] + png.pack(b"IEND", b""),
    }
    return {name: (data, "undecodable truncated") for name, data in files.items()}


def _private(photo: bytes, drawing: bytes) -> Files:
    exif = {"an artist": {_ARTIST: "Jürgen 血液\0".encode()}, "a serial number": {_SERIAL: b"12345678\0"}}
    tiffs = {name: _tiff(entries) for name, entries in exif.items()}
    files = {f"jpeg with {name}": _with(photo, jpeg.pack(0xE1, jpeg.EXIF + tiff)) for name, tiff in tiffs.items()}
    files |= {f"png with {name}": _after_header(drawing, png.pack(b"eXIf", tiff)) for name, tiff in tiffs.items()}
    place = b"http://ns.adobe.com/xap/1.0/\0<exif:GPSLatitude>41,23N</exif:GPSLatitude>"
    files |= {
        "jpeg with a place": faults.with_gps(photo),
        "jpeg with a place in XMP": _with(photo, jpeg.pack(0xE1, place)),
        "jpeg with a by-line": _with(photo, jpeg.pack(0xED, b"Photoshop 3.0\0\x1c\x02\x50\0\x09Jo Bloggs")),
        "png with an author": _after_header(drawing, png.pack(b"tEXt", b"Author\0Jo Bloggs")),
    }
    return {name: (data, "private_exif") for name, data in files.items()}


def _not_worth_keeping(photo: bytes, picture: Image) -> Files:
    flat = np.full((300, 300, 3), 225, np.uint8)
    return {
        "one pixel, jpeg": (encode_jpeg(flat[:1, :1]), "too_small"),
        "one pixel, png": (encode_png(flat[:1, :1]), "too_small"),
        "one row": (encode_jpeg(picture[:1]), "too_small"),
        "black": (encode_jpeg(np.zeros_like(flat)), "too_dark"),
        "white": (encode_jpeg(np.full_like(flat, 255)), "too_bright"),
        "an empty field": (encode_png(flat), "empty_field"),
        "dark": (faults.darken(photo), "too_dark"),
        "over-exposed": (faults.overexpose(photo), "too_bright clipped"),
        "out of focus": (faults.blur(photo), "out_of_focus"),
    }


def encode_png(image: Pixels) -> bytes:
    """A PNG of an RGB or RGBA image of 8 or 16 bits."""
    return _encoded(".png", image)


def _encoded(suffix: str, image: Pixels, *flags: int) -> bytes:
    ordered = image if image.ndim == 2 else image[:, :, [2, 1, 0, 3][: image.shape[2]]]
    return bytes(cv2.imencode(suffix, ordered, list(flags))[1])


def _with(photo: bytes, segments: bytes) -> bytes:
    return photo[:2] + segments + photo[2:]


def _after_header(drawing: bytes, chunks: bytes) -> bytes:
    return drawing[:33] + chunks + drawing[33:]


def _resized(photo: bytes, width: int, height: int, sampling: int = 0x22) -> bytes:
    """Another declared size, and sampling of the first channel (0x11: as fine as the others)."""
    frame = next(segment for segment in jpeg.split(photo)[0] if segment.marker in jpeg.FRAMES)
    at = frame.body + 3
    return photo[:at] + struct.pack(">HHBBB", height, width, 3, 1, sampling) + photo[at + 7 :]


def _png(width: int, height: int, idat: bytes, depth: int = 8, colour: int = 2, before: bytes = b"") -> bytes:
    header = png.pack(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return png.START + header + before + png.pack(b"IDAT", idat) + png.pack(b"IEND", b"")


def _interlaced(picture: Image) -> bytes:
    height, width = picture.shape[:2]
    rows: Iterable[Image] = (
        row for left, top, across, down in png.ADAM7 for row in picture[top::down, left::across] if row.size
    )
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = png.pack(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))
    return png.START + header + png.pack(b"IDAT", zlib.compress(raw)) + png.pack(b"IEND", b"")


def _tiff(entries: dict[int, bytes]) -> bytes:
    """A TIFF of texts of more than four bytes, in the first directory."""
    values_at = 8 + 2 + 12 * len(entries) + 4
    directory, values = struct.pack("<H", len(entries)), b""
    for tag, text in entries.items():
        directory += struct.pack("<HHII", tag, 2, len(text), values_at + len(values))
        values += text
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + values


def _cmyk(picture: Image) -> bytes:
    """Four grey scans in one frame."""
    grey = _encoded(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    parts = {segment.marker: grey[segment.start : segment.end] for segment in jpeg.split(grey)[0]}
    size = picture.shape[:2]
    frame = struct.pack(">BHHB", 8, *size, 4) + b"".join(bytes((channel, 0x11, 0)) for channel in range(1, 5))
    tables = b"".join(grey[s.start : s.end] for s in jpeg.split(grey)[0] if s.marker in (0xDB, 0xC4))
    scan = parts[jpeg.SCAN][10:]
    scans = b"".join(jpeg.pack(jpeg.SCAN, bytes((1, channel, 0, 0, 63, 0))) + scan for channel in range(1, 5))
    adobe = jpeg.pack(0xEE, b"Adobe\0\x64\0\0\0\0\0")
    return grey[:2] + adobe + jpeg.pack(0xC0, frame) + tables + scans + b"\xff\xd9"
