import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smears import png, smear
from test_exif import tiff

from hemaloop.errors import DataError
from hemaloop.imaging import faults
from hemaloop.imaging.container import read_container
from hemaloop.imaging.decode import decode
from hemaloop.imaging.exif import find_private
from hemaloop.imaging.strip import strip_private


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def turned(orientation: int, order: str = "<", kind: int = 3, count: int = 1) -> bytes:
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return start + struct.pack(order + "HHHIHHI", 1, 0x0112, kind, count, orientation, 0, 0)


def private(found: bytes) -> str:
    container = read_container(found)
    return find_private(container.exif, container.xmp, container.authors)


def small(seed: int, kind: str) -> bytes:
    """An encoded image of 40 x 25 px, with nothing on its borders alike."""
    image = cv2.resize(decode(smear(seed)), (40, 25), interpolation=cv2.INTER_AREA)
    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(kind == "progressive"), cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    return bytes(cv2.imencode(".png" if kind == "png" else ".jpg", image, [] if kind == "png" else progressive)[1])


texts = st.binary(max_size=60)
tiffs = st.one_of(
    st.builds(turned, st.integers(0, 9), st.sampled_from("<>"), st.sampled_from([3, 3, 3, 0, 1, 4]), st.integers(0, 2)),
    st.builds(lambda tag, text: tiff({tag: text}), st.sampled_from([0x013B, 0xC62F, 0x010E]), texts),
    st.just(faults.with_gps(smear())[12:200]),
    st.binary(max_size=40),
)
segments = st.one_of(
    st.builds(lambda body: segment(0xE1, b"Exif\0\0" + body), tiffs),
    st.builds(lambda body: segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<dc:creator>" + body), texts),
    st.builds(lambda body: segment(0xED, b"Photoshop 3.0\0\x1c\x02\x50\0\x04Jo B" + body), texts),
    st.builds(lambda marker, body: segment(marker, body), st.sampled_from([0xE0, 0xE2, 0xE5, 0xEE, 0xFE]), texts),
)
chunks = st.one_of(
    st.builds(lambda body: chunk(b"eXIf", body), tiffs),
    st.builds(lambda kind, body: chunk(kind, b"Author\0" + body), st.sampled_from([b"tEXt", b"zTXt", b"prVt"]), texts),
    st.builds(lambda body: chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0GPSLatitude" + body), texts),
)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(["jpeg", "progressive", "png"]), st.integers(0, 3), texts)
def test_nothing_private_is_left_and_no_pixel_changes(data: st.DataObject, kind: str, seed: int, end: bytes) -> None:
    plain = small(seed, kind)
    at, added = (33, chunks) if kind == "png" else (2, segments)
    image = plain[:at] + b"".join(data.draw(st.lists(added, max_size=4))) + plain[at:] + end
    stripped = strip_private(image)
    assert private(stripped) == ""
    assert read_container(stripped).after_end == 0
    before, after = (cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR) for each in (image, stripped))
    assert np.array_equal(before, after)
    assert strip_private(stripped) == stripped
    assert len(stripped) <= len(plain) + 58  # at most a directory that says which side is up


def test_what_is_said_between_scans_goes_too() -> None:
    plain = small(1, "progressive")
    second = plain.index(b"\xff\xda", plain.index(b"\xff\xda") + 2)
    stripped = strip_private(plain[:second] + segment(0xFE, b"Jo Bloggs") + plain[second:])
    assert b"Jo Bloggs" not in stripped
    assert np.array_equal(decode(stripped), decode(plain))


def test_a_thumbnail_of_the_picture_as_it_was_goes_too() -> None:
    jfif = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\1\1" + b"rgb")
    stripped = strip_private(smear()[:2] + jfif + smear()[20:])
    assert b"rgb" not in stripped
    assert np.array_equal(decode(stripped), decode(smear()))


@pytest.mark.parametrize("data", [b"", b"a text", smear()[:5000], png(decode(smear()))[:5000]])
def test_what_cannot_be_read_to_its_end_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"truncated|not an image"):
        strip_private(data)
