"""What is found in a file before it is decoded, and what may be wrong with it."""

from dataclasses import dataclass

# What keeps a file from being judged as one image; "" where nothing does.
EMPTY = "empty"
NOT_AN_IMAGE = "not_an_image"
TRUNCATED = "truncated"
UNDECODABLE = "undecodable"
TOO_LARGE = "too_large"  # by its declared size
BOMB = "bomb"  # costs far more than it shows: inflates beyond its declared size, or has far too many parts
ANIMATED = "animated"  # several pictures, of which only the first would be looked at
POLYGLOT = "polyglot"  # another file in it or behind it

LARGEST_PIXELS = 36_000_000  # a square of the longest side that params.yaml accepts
LARGEST_DECODED = 180_000_000  # bytes that a decoder holds at once, however few the pixels
MOST_PARTS = 10_000  # segments or chunks; a camera writes some tens, a PNG of 32 MiB some thousands
LARGEST_TEXT = 8_000_000  # bytes of a text or colour profile, inflated


@dataclass(frozen=True)
class Container:
    """A file's format, declared size and metadata; it may be decoded where `problem` is ""."""

    format: str = ""  # "jpeg", "png" or ""
    problem: str = ""
    width: int = 0  # as stored, before EXIF turns it
    height: int = 0
    channels: int = 0
    exif: tuple[bytes, ...] = ()  # TIFF structures
    xmp: tuple[bytes, ...] = ()
    authors: tuple[bytes, ...] = ()  # IPTC by-lines, PNG's `Author`
    note: str = ""  # what about it is the problem
    bit_depth: int = 0  # of one channel
    quality: int = 0  # of a JPEG, 1 to 100
    frames: int = 0  # pictures in it
    after_end: int = 0  # bytes behind the end of the image
    decoded: int = 0  # bytes that a decoder holds at once
