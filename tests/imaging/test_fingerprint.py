from pathlib import Path

import cv2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from smears import smear
from test_measure import SETS, real_images

from hemaloop.imaging import faults
from hemaloop.imaging.decode import decode, encode_jpeg
from hemaloop.imaging.fingerprint import bands, distance, flips, numbers
from hemaloop.imaging.measure import measure

NEAR_BITS = 6
hashes = st.integers(0, 2**64 - 1)


def cut(value: int) -> list[int]:
    found: list[int] = bands(numbers([f"{value:016x}"]))[0].tolist()
    return found


@given(
    hashes, st.integers(0, 8).flatmap(lambda bits: st.tuples(st.just(bits), st.sets(st.integers(0, 63), max_size=bits)))
)
def test_near_hashes_agree_in_a_band_after_one_of_its_flips(value: int, drawn: tuple[int, set[int]]) -> None:
    bits, flipped = drawn
    other = value ^ sum(1 << bit for bit in flipped)
    pairs = zip(cut(value), cut(other), flips(bits), strict=True)
    assert any(a ^ b in changes for a, b, changes in pairs)


@given(hashes, hashes)
def test_bands_tile_the_hash(value: int, other: int) -> None:
    assert (cut(value) == cut(other)) == (value == other)


def test_the_limit_tested_here_is_the_one_in_use() -> None:
    params = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    assert params["ingest"]["near_duplicate_bits"] == NEAR_BITS


@pytest.mark.parametrize("seed", range(5))
def test_an_image_encoded_or_scaled_anew_is_near_itself(seed: int) -> None:
    first = measure(smear(seed)).phash
    smaller = encode_jpeg(cv2.resize(decode(smear(seed)), (300, 300), interpolation=cv2.INTER_AREA))
    for data in (faults.reencode(smear(seed)), faults.with_gps(smear(seed)), smaller):
        assert distance(first, measure(data).phash) <= NEAR_BITS


def test_two_cells_of_one_slide_are_far_apart() -> None:
    found = [measure(smear(seed)).phash for seed in range(20)]
    assert all(distance(a, b) > NEAR_BITS for i, a in enumerate(found) for b in found[:i])


@pytest.mark.images
@pytest.mark.parametrize("name", SETS)
def test_real_images_encoded_anew_are_near_themselves(test_images: Path, name: str) -> None:
    for data in real_images(test_images / name, 40):
        assert distance(measure(data).phash, measure(faults.reencode(data)).phash) <= NEAR_BITS
