import json
import random
import struct
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from smears import png, smear

from hemaloop.imaging import faults, jpeg
from hemaloop.imaging.container import read_container
from hemaloop.imaging.decode import decode, decode_pixels, encode_jpeg
from hemaloop.imaging.fingerprint import distance
from hemaloop.imaging.measure import Measures, measure
from hemaloop.protocol import documents

PARAMS = Path(__file__).parents[2] / "params.yaml"
JUDGED = ("focus", "brightness", "contrast", "clipped", "foreground")
SETS = ("pbc-barcelona", "all-taleqani", "bccd-fields")


def refused_for(measures: Measures) -> str:
    """The first measure outside params.yaml's limits."""
    limits = yaml.safe_load(PARAMS.read_text())["validate"]
    outside = (name for name in JUDGED if not limits[name][0] <= getattr(measures, name) <= limits[name][1])
    return measures.problem or next(outside, "")


def real_images(folder: Path, count: int) -> list[bytes]:
    paths = sorted(folder.rglob("*.jpg"))
    return [path.read_bytes() for path in random.Random(3).sample(paths, count)]


@pytest.mark.parametrize("seed", range(10))
def test_a_good_smear_passes_and_each_fault_is_refused(seed: int) -> None:
    data = smear(seed)
    assert refused_for(measure(data)) == ""
    assert refused_for(measure(faults.blur(data))) == "focus"
    assert refused_for(measure(faults.darken(data))) == "brightness"
    assert refused_for(measure(faults.overexpose(data))) in ("brightness", "clipped")
    assert refused_for(measure(faults.truncate(data))) == "truncated"


@pytest.mark.images
@pytest.mark.parametrize("name", SETS)
def test_real_images_pass_and_their_faults_are_refused(test_images: Path, name: str) -> None:
    images = real_images(test_images / name, 40)
    assert sum(refused_for(measure(data)) != "" for data in images) <= 1
    for fault in (faults.blur, faults.darken, faults.overexpose, faults.truncate):
        assert all(refused_for(measure(fault(data))) for data in images), fault.__name__


def test_measures_are_plain_json() -> None:
    measures = measure(smear())
    assert Measures(**json.loads(json.dumps(asdict(measures)))) == measures
    assert (measures.format, measures.width, measures.height, measures.channels) == ("jpeg", 360, 360, 3)
    assert measures.bytes == len(smear())
    assert len(measures.phash) == 16


@pytest.mark.parametrize(
    ("data", "problem"), [(b"", "empty"), (b"a text", "not_an_image"), (smear()[:999], "truncated")]
)
def test_a_problem_is_named_and_nothing_else_is_claimed(data: bytes, problem: str) -> None:
    measures = measure(data)
    assert measures.problem == problem
    assert (measures.phash, measures.focus, measures.foreground) == ("", 0.0, 0.0)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]))
def test_no_bytes_make_measuring_fail(data: bytes, start: bytes) -> None:
    assert measure(start + data).problem != ""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(170, 19_999), st.integers(0, 255)), min_size=1, max_size=20), st.booleans())
def test_no_damage_makes_measuring_fail(changes: list[tuple[int, int]], as_png: bool) -> None:
    data = bytearray(png(decode(smear())) if as_png else smear())
    for at, value in changes:
        data[at % len(data)] = value
    assert measure(bytes(data)).bytes == len(data)


def test_an_empty_field_has_no_foreground() -> None:
    noise = np.random.default_rng(1).normal(225, 3, (300, 400, 3)).clip(0, 255).astype(np.uint8)
    measures = measure(encode_jpeg(noise))
    assert measures.foreground < 0.005
    assert refused_for(measures) != ""
    assert measure(encode_jpeg(np.full((300, 400, 3), 225, np.uint8))).focus < 1


def test_a_dimmer_lamp_changes_brightness_and_not_the_foreground() -> None:
    image = decode(smear())
    bright, dim = measure(png(image)), measure(png((image * 0.7).astype(np.uint8)))
    assert dim.brightness == pytest.approx(0.7 * bright.brightness, rel=0.01)
    assert dim.foreground == pytest.approx(bright.foreground, abs=0.02)


def test_a_large_jpeg_is_measured_like_its_half() -> None:
    image = cv2.resize(decode(smear()), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    large, half = measure(encode_jpeg(image)), measure(encode_jpeg(image[::2, ::2]))
    assert large.width == 2 * half.width
    assert large.brightness == pytest.approx(half.brightness, abs=1)
    assert large.foreground == pytest.approx(half.foreground, abs=0.02)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["baseline", "progressive", "restarts"])
def test_a_file_decoded_at_a_part_of_its_size_is_judged_as_one_decoded_wholly(kind: str, orientation: int) -> None:
    """Cut behind a false end, or with a block of data damaged: what the whole shows, the part shows too."""
    flags = {"progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 8]}
    image = cv2.resize(decode(smear(2)), (640, 480))[:, :, ::-1]
    plain = bytes(cv2.imencode(".jpg", image, flags.get(kind, []))[1])
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    whole = plain[:2] + jpeg.pack(0xE1, exif) + plain[2:]
    found, chance = set(), random.Random(orientation)
    for _ in range(15):
        at = chance.randrange(900, len(whole) - 200)
        for data in (whole[:at] + b"\xff\xd9", whole[:at] + chance.randbytes(40) + whole[at + 40 :]):
            container = read_container(data)
            problems = [decode_pixels(data, container, shrink)[1] for shrink in (1, 2, 4)]
            assert len(set(problems)) == 1, problems
            found.add(problems[0])
    assert found & {"truncated", "undecodable"}


@pytest.mark.parametrize("percent", [10, 35, 50, 75, 90, 97, 100])
def test_a_jpegs_quality_is_read_from_its_tables(percent: int) -> None:
    data = encode_jpeg(decode(smear()), percent)
    assert measure(data).jpeg_quality == percent
    assert measure(png(decode(smear()))).jpeg_quality == 0


def test_a_tint_of_the_background_is_a_colour_cast_and_the_stain_is_none() -> None:
    image = decode(smear())
    glass = np.full_like(image, 230)
    assert measure(png(glass)).colour_cast < 0.5
    plain = measure(encode_jpeg(image)).colour_cast
    tinted = (image * np.array([1.0, 0.95, 0.75])).astype(np.uint8)
    assert plain < 10 < measure(encode_jpeg(tinted)).colour_cast
    stained = image.copy()
    stained[100:200, 100:250] = (120, 20, 160)
    assert measure(encode_jpeg(stained)).colour_cast == pytest.approx(plain, abs=0.5)


def test_depth_frames_and_what_is_behind_the_end_are_told() -> None:
    deep = bytes(cv2.imencode(".png", np.full((300, 300, 3), 30_000, np.uint16))[1])
    assert (measure(deep).bit_depth, measure(smear()).bit_depth) == (16, 8)
    assert (measure(smear()).frames, measure(smear() + bytes(77)).bytes_after_end) == (1, 77)


def test_a_row_of_an_older_ledger_is_read() -> None:
    old = asdict(measure(smear()))
    for name in ("note", "bit_depth", "frames", "jpeg_quality", "bytes_after_end", "colour_cast", "phash_fine"):
        del old[name]
    assert documents.decode(json.dumps(old).encode(), Measures).bit_depth == 0


def test_a_large_png_is_measured_as_the_jpeg_of_the_same_picture() -> None:
    image = cv2.resize(decode(smear()), (1440, 1440), interpolation=cv2.INTER_CUBIC)
    image[::6, ::3] = 255  # what is lost in the smaller picture
    one, other = measure(png(image)), measure(encode_jpeg(image, 98))
    assert one.focus == pytest.approx(other.focus, rel=0.1)
    assert one.brightness == pytest.approx(other.brightness, abs=1)
    assert one.clipped == pytest.approx(other.clipped, abs=0.01)
    assert distance(one.phash, other.phash) <= 2
