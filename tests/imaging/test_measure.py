import json
import random
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from smears import png, smear

from hemaloop.imaging import faults
from hemaloop.imaging.decode import decode, encode_jpeg
from hemaloop.imaging.measure import Measures, focus, measure

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


def test_focus_is_the_same_for_the_same_picture_at_twice_its_size() -> None:
    image = decode(smear())
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    assert measure(encode_jpeg(large, 95)).focus == pytest.approx(measure(encode_jpeg(image, 95)).focus, rel=0.15)


def test_a_large_jpeg_is_measured_like_its_half() -> None:
    image = cv2.resize(decode(smear()), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    large, half = measure(encode_jpeg(image)), measure(encode_jpeg(image[::2, ::2]))
    assert large.width == 2 * half.width
    assert large.brightness == pytest.approx(half.brightness, abs=1)
    assert large.foreground == pytest.approx(half.foreground, abs=0.02)


def test_focus_falls_the_more_an_image_is_blurred() -> None:
    grey = cv2.cvtColor(decode(smear()), cv2.COLOR_RGB2GRAY)
    values = [focus(cv2.GaussianBlur(grey, (0, 0), sigma)) for sigma in (0.5, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
