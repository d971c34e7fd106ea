import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smears import smear

from hemaloop.imaging import faults
from hemaloop.imaging.decode import decode
from hemaloop.imaging.exif import find_private
from hemaloop.imaging.measure import measure

ASCII = 2


def tiff(entries: dict[int, bytes], in_exif: bool = False, order: str = "<") -> bytes:
    """A TIFF of text entries, in the first or in the Exif directory."""
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    if in_exif:
        start += struct.pack(order + "HHHII", 1, 0x8769, 4, 1, 26) + bytes(4)
    values_at = len(start) + 2 + 12 * len(entries) + 4
    directory, values = struct.pack(order + "H", len(entries)), b""
    for tag, text in entries.items():
        inline = len(text) <= 4
        place = text.ljust(4, b"\0") if inline else struct.pack(order + "I", values_at + len(values))
        directory += struct.pack(order + "HHI", tag, ASCII, len(text)) + place
        values += b"" if inline else text
    return start + directory + bytes(4) + values


def test_a_place_is_found_and_the_picture_is_unchanged() -> None:
    data = faults.with_gps(smear())
    assert measure(smear()).private_exif == ""
    assert measure(data).private_exif == "gps"
    assert (decode(data) == decode(smear())).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("tag", "in_exif", "found"),
    [(0xA431, True, "serial number"), (0xA430, True, "name"), (0x013B, False, "name"), (0x0110, False, "")],
)
def test_tags_are_found_in_both_byte_orders(tag: int, in_exif: bool, found: str, order: str) -> None:
    assert find_private([tiff({tag: b"Jo Bloggs\0"}, in_exif, order)], []) == found
    assert find_private([tiff({tag: b"Jo\0"}, in_exif, order)], []) == found


def test_blanks_are_no_name() -> None:
    assert find_private([tiff({0x013B: b"            \0"})], []) == ""


def test_everything_found_is_said() -> None:
    both = tiff({0x013B: b"Jo Bloggs\0", 0xC62F: b"12345678\0"})
    assert find_private([both], [b"<exif:GPSLatitude>41</exif:GPSLatitude>"]) == "gps, serial number, name"


def test_a_directory_cut_anywhere_is_read_as_far_as_it_goes() -> None:
    whole = tiff({0x0110: b"a camera", 0xA431: b"12345678\0"}, in_exif=True)
    found = [find_private([whole[:length]], []) for length in range(len(whole) + 1)]
    assert set(found) == {"", "serial number"}


@given(st.binary(max_size=300), st.sampled_from([b"II*\0", b"MM\0*"]))
def test_no_bytes_make_reading_fail(data: bytes, start: bytes) -> None:
    assert set(find_private([start + data], [data]).split(", ")) <= {"", "gps", "serial number", "name"}
