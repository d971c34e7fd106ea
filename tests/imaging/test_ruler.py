"""Red cells, else a nucleus, tell how large a pixel is, with an error bar that holds the truth as often as it says."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_field import NUCLEUS, PLATELET_UM, Disc, draw_discs, reds, white
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.fields.field import round_side
from hemaloop.imaging.circles import LARGEST, SMALLEST, find_circles
from hemaloop.imaging.decode import Image, decode
from hemaloop.imaging.ruler import Scale, estimate
from hemaloop.imaging.smear import CLASSES, Slide, draw
from hemaloop.uploading.voc import read_boxes

WIDTH_UM, HEIGHT_UM = 60.0, 42.0


def field(um_per_px: float) -> Image:
    """Red cells, two white ones and a platelet."""
    cells = [*white(20, 18), *white(42, 22), Disc(31, 8, PLATELET_UM, NUCLEUS)]
    size = round(WIDTH_UM / um_per_px), round(HEIGHT_UM / um_per_px)
    return draw_discs(reds(WIDTH_UM, HEIGHT_UM, cells) + cells, um_per_px, *size)


@pytest.mark.parametrize("um_per_px", [0.06, 0.1, 0.2])
def test_red_cells_tell_the_scale_whatever_it_is(um_per_px: float) -> None:
    scale = estimate(field(um_per_px))
    assert scale is not None
    assert (scale.by, scale.count >= 10) == ("red cells", True)
    assert scale.um_per_px == pytest.approx(um_per_px, rel=0.06)
    assert scale.low < um_per_px < scale.high < 1.4 * scale.low


def test_small_red_cells_in_a_wide_field_tell_it_too() -> None:
    cells = [cell for x in (30, 70, 110) for cell in white(x, 50)]
    image = draw_discs(reds(150, 105, cells) + cells, 0.2, 750, 525)
    scale = estimate(image)
    assert scale is not None
    assert (scale.by, scale.count >= 20) == ("red cells", True)
    assert scale.low < 0.2 < scale.high


def test_the_same_image_tells_the_same() -> None:
    assert estimate(field(0.1)) == estimate(field(0.1))


@pytest.mark.parametrize("x_um", [14.0, 5.0])  # in the middle, and so near the border that closing lobes reaches it
def test_without_red_cells_the_nucleus_tells_less_surely(x_um: float) -> None:
    scale = estimate(draw_discs(white(x_um, 14), 0.1, 280, 280))
    assert scale is not None
    assert (scale.by, scale.count) == ("nucleus", 1)
    assert scale.low < 0.1 < scale.high
    assert scale.high > 2 * scale.low


def test_a_nucleus_that_the_border_cuts_tells_nothing() -> None:
    assert estimate(draw_discs(white(1.5, 14), 0.1, 280, 280)) is None


@pytest.mark.parametrize("level", [0, 128, 255])
def test_nothing_in_an_image_tells_nothing(level: int) -> None:
    assert estimate(np.full((240, 320, 3), level, np.uint8)) is None


def test_noise_and_images_too_small_tell_nothing() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (240, 320, 3), np.uint8)
    assert estimate(noise) is None
    assert estimate(noise[:40]) is None


def smears(count: int) -> list[tuple[float, Scale | None]]:
    """True scales of synthetic smears of as many slides, and what is told; every third at half its size."""
    told = []
    for seed in range(count):
        slide, image = Slide.of(seed), draw(CLASSES[seed % len(CLASSES)], Slide.of(seed), seed)
        shrunk = 2 if seed % 3 == 0 else 1
        side = len(image) // shrunk
        image = np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        told.append((slide.um_per_px * shrunk, estimate(image)))
    return told


def test_the_error_bar_holds_the_truth_of_nearly_all_synthetic_slides() -> None:
    told = [(truth, scale) for truth, scale in smears(30) if scale is not None]
    assert len(told) >= 28
    assert sum(scale.low <= truth <= scale.high for truth, scale in told) >= 0.9 * len(told)
    assert np.median([abs(np.log(scale.um_per_px / truth)) for truth, scale in told]) < 0.09
    assert np.median([scale.high / scale.low for _, scale in told]) < 1.6  # a bar as wide as the world holds all


@given(
    radius=st.floats(SMALLEST, LARGEST),
    middle=st.tuples(st.floats(25, 65), st.floats(25, 65)),
    seed=st.integers(0, 1000),
)
@settings(max_examples=30, deadline=None)
def test_a_disc_is_found_with_its_middle_and_radius(radius: float, middle: tuple[float, float], seed: int) -> None:
    down, across = np.mgrid[:90, :90].astype(np.float32)
    away = np.hypot(across - middle[0], down - middle[1])
    dark = 60 * np.clip(radius - away + 0.5, 0, 1) + np.random.default_rng(seed).normal(0, 1, (90, 90))
    found = find_circles(dark.astype(np.float32), np.zeros((90, 90), np.uint8), 4.0, 0.65)
    assert len(found) == 1
    assert (found[0].x, found[0].y) == pytest.approx(middle, abs=0.7)
    assert found[0].radius == pytest.approx(radius, rel=0.06)
    assert found[0].support > 0.9


def test_what_is_lighter_than_its_surroundings_is_no_circle() -> None:
    down, across = np.mgrid[:90, :90].astype(np.float32)
    light = np.where(np.hypot(across - 45, down - 45) < 10, np.float32(0), np.float32(60))
    assert find_circles(light, np.zeros((90, 90), np.uint8), 4.0, 0.65) == []


def test_overlapping_discs_are_found_each() -> None:
    down, across = np.mgrid[:90, :90].astype(np.float32)
    dark = sum(60 * np.clip(10.5 - np.hypot(across - x, down - 45), 0, 1) for x in (35, 52))
    found = find_circles(np.asarray(dark, np.float32), np.zeros((90, 90), np.uint8), 4.0, 0.65)
    assert sorted(round(circle.x) for circle in found) == [35, 52]


@pytest.mark.images
def test_the_error_bar_holds_the_truth_of_real_fields(test_images: Path) -> None:
    folder = test_images / "bccd-fields"
    told = []
    for path in sorted((folder / "images").glob("*.jpg"))[:60]:
        boxes, _ = read_boxes(folder / "annotations" / f"{path.stem}.xml", "RBC", 640, 480)
        side = round_side(boxes, 640, 480)
        scale = estimate(decode(path.read_bytes()))
        if side is not None and scale is not None:
            told.append((7.5 / side, scale))
    assert len(told) >= 45
    assert sum(scale.low <= truth <= scale.high for truth, scale in told) >= 0.85 * len(told)
    assert np.median([abs(scale.um_per_px / truth - 1) for truth, scale in told]) < 0.12
