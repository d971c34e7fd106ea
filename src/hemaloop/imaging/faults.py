"""Images spoilt on purpose: what the demo and the tests upload to see it refused.

Each takes an encoded image and gives an encoded one.
"""

import struct

import cv2

from hemaloop.imaging.decode import Image, decode, encode_jpeg


def truncate(jpeg: bytes, share: float = 0.6) -> bytes:
    """The first `share` of the bytes, as when a line drops."""
    return jpeg[: int(len(jpeg) * share)]


def blur(jpeg: bytes, share: float = 0.015) -> bytes:
    """Out of focus: a Gaussian whose sigma is `share` of the shorter side."""
    image = decode(jpeg)
    return encode_jpeg(cv2.GaussianBlur(image, (0, 0), share * min(image.shape[:2])))


def darken(jpeg: bytes, factor: float = 0.2) -> bytes:
    """The lamp almost out."""
    return encode_jpeg(_scaled(jpeg, factor))


def overexpose(jpeg: bytes, factor: float = 1.9) -> bytes:
    """The exposure far too long: the background and most cells are white."""
    return encode_jpeg(_scaled(jpeg, factor))


def reencode(jpeg: bytes, quality: int = 60) -> bytes:
    """The same picture, encoded once more: other bytes, a near-duplicate."""
    return encode_jpeg(decode(jpeg), quality)


def with_gps(jpeg: bytes, latitude: int = 41, longitude: int = 2) -> bytes:
    """The same JPEG with a place (whole degrees north and east) in its EXIF."""
    tiff = _gps_tiff(latitude, longitude)
    segment = b"\xff\xe1" + struct.pack(">H", 2 + 6 + len(tiff)) + b"Exif\0\0" + tiff
    return jpeg[:2] + segment + jpeg[2:]


def _scaled(jpeg: bytes, factor: float) -> Image:
    scaled: Image = cv2.convertScaleAbs(decode(jpeg), alpha=factor)
    return scaled


def _gps_tiff(latitude: int, longitude: int) -> bytes:
    """A TIFF with one directory, that points to a GPS directory of four entries."""
    gps_at = 8 + 2 + 12 + 4
    values_at = gps_at + 2 + 4 * 12 + 4
    header = b"II*\0" + struct.pack("<I", 8)
    first = struct.pack("<HHHII", 1, 0x8825, 4, 1, gps_at) + bytes(4)
    place = struct.pack("<H", 4)
    place += struct.pack("<HHI4s", 1, 2, 2, b"N\0\0\0") + struct.pack("<HHII", 2, 5, 3, values_at)
    place += struct.pack("<HHI4s", 3, 2, 2, b"E\0\0\0") + struct.pack("<HHII", 4, 5, 3, values_at + 24)
    degrees = b"".join(struct.pack("<6I", angle, 1, 0, 1, 0, 1) for angle in (latitude, longitude))
    return header + first + place + bytes(4) + degrees
