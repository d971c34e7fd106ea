import struct
import zlib

import cv2
import numpy as np
import pytest
from smears import png, smear

from hemaloop.errors import DataError
from hemaloop.imaging import container, faults
from hemaloop.imaging.container import read_container
from hemaloop.imaging.decode import decode, encode_jpeg


def test_colours_come_out_red_first() -> None:
    image = np.zeros((40, 50, 3), np.uint8)
    image[:, :, 0] = 200
    for data in (png(image), encode_jpeg(image, 95)):
        decoded = decode(data)
        assert decoded.shape == (40, 50, 3)
        assert abs(decoded.mean(axis=(0, 1)) - [200, 0, 0]).max() < 4


def test_grey_and_transparent_images_come_out_in_three_channels() -> None:
    grey = bytes(cv2.imencode(".jpg", np.full((30, 30), 90, np.uint8))[1])
    clear = bytes(cv2.imencode(".png", np.full((30, 30, 4), 90, np.uint8))[1])
    assert decode(grey).shape == decode(clear).shape == (30, 30, 3)
    assert (read_container(grey).channels, read_container(clear).channels) == (1, 4)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 0.9, 0.999])
def test_an_image_cut_anywhere_is_called_truncated(share: float) -> None:
    for data in (smear(), png(decode(smear()))):
        cut = faults.truncate(data, max(share, 12 / len(data)))
        assert read_container(cut).problem == container.TRUNCATED
        with pytest.raises(DataError, match="truncated"):
            decode(cut)


def test_a_cut_jpeg_is_found_though_its_thumbnail_ends_and_zeros_follow() -> None:
    thumbnail = encode_jpeg(np.full((16, 16, 3), 80, np.uint8))
    body = b"Exif\0\0" + thumbnail
    whole = smear()[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + smear()[2:]
    assert read_container(whole).problem == ""
    assert read_container(faults.truncate(whole) + bytes(4096)).problem == container.TRUNCATED


def test_a_cut_jpeg_is_found_though_an_end_marker_was_put_behind_it() -> None:
    with pytest.raises(DataError, match="truncated"):
        decode(faults.truncate(smear()) + b"\xff\xd9")


def test_a_wholly_grey_image_is_no_truncated_one() -> None:
    assert decode(encode_jpeg(np.full((64, 64, 3), 128, np.uint8))).shape == (64, 64, 3)


def test_bytes_after_the_end_do_no_harm() -> None:
    assert np.array_equal(decode(smear() + b"\0" * 100), decode(smear()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"this is a text called .jpg", "not an image"),
        (b"GIF89a" + bytes(40), "not an image"),
        (b"\xff\xd8\xff\xe0 and then nonsense" * 20, "truncated|damaged"),
        (b"\xff\xd8\xff\xd9" * 10, "damaged"),
    ],
)
def test_what_is_no_image_is_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode(data)


def test_a_damaged_png_is_refused() -> None:
    data = bytearray(png(decode(smear())))
    data[len(data) // 2] ^= 0xFF
    assert read_container(bytes(data)).problem == container.UNDECODABLE
    with pytest.raises(DataError, match="damaged"):
        decode(bytes(data))


def test_a_size_too_large_is_refused_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = smear().index(b"\xff\xc0")
    jpeg = bytearray(smear())
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    for data in (bytes(jpeg), bomb):
        with pytest.raises(DataError, match="too large"):
            decode(data)
