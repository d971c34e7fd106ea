"""White cells of a field are found where they are, one box each; boxes are matched and cut out."""

from pathlib import Path

import numpy as np
import pytest
from drawn_field import CYTOPLASM, NUCLEUS, PLATELET_UM, Disc, draw_discs, reds, white
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.imaging.boxes import Box, iou, match
from hemaloop.imaging.cells import find_white_cells
from hemaloop.imaging.crops import crop_cell, crop_square
from hemaloop.imaging.decode import Image, decode
from hemaloop.imaging.smear import CLASSES, SIDE, Slide, draw
from hemaloop.uploading.voc import read_boxes

UM_PER_PX = 0.1


def found(cells: list[Disc], um_per_px: float = UM_PER_PX) -> tuple[Box, ...]:
    """In a field of 60 x 42 um, with red cells around these."""
    image = draw_discs(reds(60, 42, cells) + cells, um_per_px, round(60 / um_per_px), round(42 / um_per_px))
    return find_white_cells(image, um_per_px)


@pytest.mark.parametrize("um_per_px", [0.06, 0.1, 0.2])
def test_each_white_cell_has_a_box_around_it(um_per_px: float) -> None:
    cells = [*white(42, 12), *white(20, 25)]
    boxes = found(cells, um_per_px)
    assert len(boxes) == 2
    assert all(iou(box, cell.box(um_per_px)) > 0.75 for box, cell in zip(boxes, (cells[0], cells[2]), strict=True))


def test_red_cells_and_platelets_are_no_white_cells() -> None:
    assert found([Disc(x, 20, PLATELET_UM, NUCLEUS) for x in (10, 30, 33, 50)]) == ()


def test_the_scale_is_estimated_where_nobody_tells_it() -> None:
    cells = white(20, 18)
    image = draw_discs(reds(60, 42, cells) + cells, UM_PER_PX, 600, 420)
    (box,) = find_white_cells(image)
    assert iou(box, cells[0].box(UM_PER_PX)) > 0.7


def test_where_nothing_tells_the_scale_nothing_is_found() -> None:
    assert find_white_cells(np.full((240, 320, 3), 220, np.uint8)) == ()


def test_lobes_are_one_cell() -> None:
    lobes = [Disc(20 + x, 20 + y, 4.6, NUCLEUS) for x, y in ((-3, 0), (2.2, -2.6), (2.2, 2.8))]
    cell = Disc(20, 20, 13, CYTOPLASM)
    (box,) = found([cell, *lobes])
    assert iou(box, cell.box(UM_PER_PX)) > 0.75


def test_large_lobes_in_one_cell_are_one_cell_too() -> None:
    cell, lobes = Disc(20, 20, 15, CYTOPLASM), [Disc(20 + x, 20, 6.6, NUCLEUS) for x in (-3.2, 3.2)]
    assert len(found([cell, *lobes])) == 1


@pytest.mark.parametrize("apart_um", [8.0, 10.0])
def test_touching_cells_are_two(apart_um: float) -> None:
    (one, nucleus), (other, its_nucleus) = white(20, 20), white(20 + apart_um, 20)
    boxes = found([one, other, nucleus, its_nucleus])
    assert len(boxes) == 2
    assert abs(boxes[0].middle[0] - boxes[1].middle[0]) * UM_PER_PX == pytest.approx(
        apart_um, abs=2.5
    )  # what overlaps is shared


def test_a_cell_that_the_border_cuts_is_found_as_far_as_it_is_seen() -> None:
    cells = white(20, 2)
    (box,) = found(cells)
    seen = cells[0].box(UM_PER_PX)
    assert iou(box, Box(seen.left, 0, seen.right, seen.bottom)) > 0.75
    assert box.top == 0


def four_smears(seed: int) -> tuple[Image, float]:
    """Four synthetic smears of one slide side by side, each with a white cell near its middle."""
    slide = Slide.of(seed)
    tiles = [draw(CLASSES[(seed + n) % len(CLASSES)], slide, 10 * seed + n) for n in range(4)]
    return np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])]), slide.um_per_px


def test_white_cells_of_synthetic_smears_are_found_near_the_middle_of_each() -> None:
    hits = extra = 0
    for seed in range(8):
        image, um_per_px = four_smears(seed)
        boxes = find_white_cells(image, um_per_px)
        middles = [(SIDE / 2 + SIDE * (n % 2), SIDE / 2 + SIDE * (n // 2)) for n in range(4)]
        near = [[b for b in boxes if np.hypot(b.middle[0] - x, b.middle[1] - y) < 60] for x, y in middles]
        hits += sum(bool(those) for those in near)
        extra += len(boxes) - sum(bool(those) for those in near)
    assert hits >= 31
    assert extra <= 2


boxes_anywhere = st.builds(
    lambda left, top, width, height: Box(left, top, left + width, top + height),
    *[st.integers(-50, 50)] * 2, *[st.integers(1, 60)] * 2,
)  # fmt: skip


@given(st.lists(boxes_anywhere, max_size=6), st.lists(boxes_anywhere, max_size=6), st.floats(0.05, 1))
@settings(deadline=None)
def test_a_box_is_matched_at_most_once_and_well_enough(one: list[Box], other: list[Box], least: float) -> None:
    pairs = match(one, other, least)
    assert len({pair.found for pair in pairs}) == len({pair.expected for pair in pairs}) == len(pairs)
    assert all(pair.iou == iou(one[pair.found], other[pair.expected]) >= least for pair in pairs)
    free = [(a, b) for n, a in enumerate(one) for m, b in enumerate(other)
            if n not in {p.found for p in pairs} and m not in {p.expected for p in pairs}]  # fmt: skip
    assert all(iou(a, b) < least for a, b in free)


@given(boxes_anywhere, boxes_anywhere)
@settings(max_examples=40, deadline=None)
def test_iou_counts_pixels(one: Box, other: Box) -> None:
    def pixels(box: Box) -> set[tuple[int, int]]:
        return {(x, y) for x in range(box.left, box.right) for y in range(box.top, box.bottom)}

    a, b = pixels(one), pixels(other)
    assert iou(one, other) == pytest.approx(len(a & b) / len(a | b))


@given(st.integers(-80, 120), st.integers(-80, 120), st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_a_square_is_the_image_and_beyond_it_its_reflection(left: int, top: int, side: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    square = crop_square(image, left, top, side)
    rows, columns = (
        np.abs((np.arange(a, a + side) + n - 1) % (2 * n - 2) - (n - 1)) for a, n in ((top, 40), (left, 50))
    )
    assert np.array_equal(square, image[rows][:, columns])


def test_a_crop_shows_so_many_micrometres_around_its_cell() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[80:100, 140:160] = 255
    crop = crop_cell(image, Box(140, 80, 160, 100), um_per_px=0.5, field_um=30.0)
    assert crop.shape == (60, 60, 3)
    assert np.array_equal(np.argwhere(crop[..., 0] == 255).mean(axis=0), [29.5, 29.5])


@pytest.mark.images
def test_white_cells_of_real_fields_are_found(test_images: Path) -> None:
    folder = test_images / "bccd-fields"
    expected = told = matched = 0
    for path in sorted((folder / "images").glob("*.jpg"))[::5]:
        boxes, _ = read_boxes(folder / "annotations" / f"{path.stem}.xml", "WBC", 640, 480)
        cells = find_white_cells(decode(path.read_bytes()))
        expected, told, matched = expected + len(boxes), told + len(cells), matched + len(match(cells, boxes, 0.5))
    assert expected >= 55
    assert matched >= 0.95 * expected
    assert matched >= 0.85 * told
