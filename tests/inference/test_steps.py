"""Preprocessing as data: whatever the image, it gives what the model sees; the same each time."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from cells import GLASS, NUCLEUS, NUCLEUS_UM, film, purple
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.errors import DataError
from hemaloop.inference.preprocess import DEFAULT_STEPS, Preprocessing, StepSettings, preprocess, read_steps, to_input
from hemaloop.inference.steps.catalogue import STEPS

SIZE_PX = 48
COLOUR = [name for name, step in STEPS.items() if step.leaves_colour]
GREY = [name for name, step in STEPS.items() if not step.leaves_colour]


def steps(*values: object, size_px: int = SIZE_PX) -> Preprocessing:
    return Preprocessing(read_steps(values), size_px)


@st.composite
def images(draw: st.DrawFn) -> np.ndarray:
    """Noise, one colour, or a film; any size from a pixel on."""
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    kind = draw(st.sampled_from(["noise", "even", "film", "two"]))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    if kind == "noise":
        return rng.integers(0, 256, (height, width, 3), np.uint8)
    if kind == "film":
        return cv2.resize(film(0.3, nucleus_at=(0.4, 0.7)), (width, height), interpolation=cv2.INTER_NEAREST)
    even = np.full((height, width, 3), draw(st.sampled_from([0, 128, 255])), np.uint8)
    if kind == "two":
        even[: height // 2] = (200, 30, 120)
    return even


SCALES = st.none() | st.floats(1e-9, 99.9)


@settings(deadline=None, max_examples=150)
@given(
    images(), st.lists(st.sampled_from(COLOUR), max_size=4), st.sampled_from([None, *GREY]), SCALES, st.integers(1, 64)
)
def test_every_image_comes_out_as_the_model_takes_it_and_the_same_each_time(
    image: np.ndarray, names: list[str], last: str | None, um_per_px: float | None, size_px: int
) -> None:
    wanted = steps(*names, *([last] if last else []), size_px=size_px)
    before = image.copy()
    found = preprocess(image, wanted, um_per_px)
    assert (found.shape, found.dtype) == ((size_px, size_px, 3), np.uint8)
    assert np.array_equal(found, preprocess(image.copy(), wanted, um_per_px))
    assert np.array_equal(image, before)


@given(images(), st.integers(1, 70))
def test_the_default_is_what_it_was_before_there_were_steps(image: np.ndarray, size_px: int) -> None:
    assert np.array_equal(preprocess(image, Preprocessing(DEFAULT_STEPS, size_px)), to_input(image, size_px))


@pytest.mark.parametrize("name", sorted(set(STEPS) - {"white_balance", "reinhard", "kmeans_regions", "lab_a"}))
def test_a_step_that_cannot_do_its_work_leaves_the_image(name: str) -> None:
    """An even grey image has no nucleus, no scale, no stain and no edge."""
    even = np.full((60, 80, 3), 120, np.uint8)
    wanted = np.zeros((SIZE_PX, SIZE_PX, 3)) if name == "edges" else to_input(even, SIZE_PX)
    assert np.array_equal(preprocess(even, steps(name)), wanted)


@pytest.mark.parametrize("name", GREY)
def test_one_channel_comes_three_times(name: str) -> None:
    found = preprocess(film(), steps("square", "resize", name))
    assert (found == found[:, :, :1]).all()
    assert found.std() > 10


@settings(deadline=None, max_examples=25)
@given(st.floats(0.06, 0.6), st.sampled_from([0.2, 0.3, 0.5]))
def test_a_nucleus_has_the_same_size_at_the_common_scale(um_per_px: float, common: float) -> None:
    found = preprocess(film(um_per_px), steps({"scale": {"um_per_px": common}}, size_px=96), um_per_px)
    diameter = 2 * np.sqrt(purple(found).sum() / np.pi) * common
    assert diameter == pytest.approx(NUCLEUS_UM, abs=0.5 + 2 * um_per_px)


def test_beyond_the_image_the_common_scale_shows_its_border() -> None:
    found = preprocess(film(0.1), steps({"scale": {"um_per_px": 1.0}}), 0.1)  # 30 um of 48
    cells = (found != GLASS).any(axis=2)
    assert cells[9:39, 9:39].sum() == cells.sum() > 150


@settings(deadline=None, max_examples=25)
@given(st.floats(0.08, 0.5), st.floats(0.3, 0.7), st.floats(0.3, 0.7))
def test_the_nucleus_is_in_the_middle_and_as_wide_as_told(um_per_px: float, row: float, column: float) -> None:
    found = purple(preprocess(film(um_per_px, nucleus_at=(row, column)), steps({"nucleus_crop": {"diameters": 2}})))
    rows, columns = np.nonzero(found)
    assert (rows.mean(), columns.mean()) == pytest.approx((SIZE_PX / 2, SIZE_PX / 2), abs=3)
    assert 2 * np.sqrt(found.sum() / np.pi) == pytest.approx(SIZE_PX / 2, rel=0.12)


def test_the_common_scale_is_taken_around_the_nucleus() -> None:
    image = film(0.1, nucleus_at=(0.35, 0.65))
    rows, columns = np.nonzero(purple(preprocess(image, steps("nucleus_centre", "scale"), 0.1)))
    assert (rows.mean(), columns.mean()) == pytest.approx((SIZE_PX / 2, SIZE_PX / 2), abs=1)


def test_the_mask_keeps_the_nucleus_alone() -> None:
    image = film(0.5)
    found = preprocess(image, steps({"kmeans_mask": {"fill": 7}}, size_px=len(image)))
    assert np.array_equal((found != 7).any(axis=2), purple(image))
    assert (found[purple(image)] == NUCLEUS).all()


def test_regions_are_background_others_and_cells() -> None:
    image = film(0.5)
    found = preprocess(image, steps("kmeans_regions", size_px=len(image)))[:, :, 0]
    assert (found[(image == GLASS).all(axis=2)] == 0).all()
    assert (found[purple(image)] == 255).all()
    assert set(np.unique(found)) == {0, 128, 255}


def test_the_a_channel_shows_nuclei_bright() -> None:
    image = film(0.5)
    found = preprocess(image, steps({"lab_a": {"low": 120, "high": 180}}, size_px=len(image)))[:, :, 0]
    assert found[purple(image)].min() > found[~purple(image)].max() + 50


@pytest.mark.parametrize("light", [(1, 1, 1), (1, 0.85, 0.7), (0.6, 0.7, 0.8)])
def test_white_balance_gives_the_glass_one_grey(light: tuple[float, float, float]) -> None:
    found = preprocess((film() * light).astype(np.uint8), steps("white_balance"))
    assert found[0, 0] == pytest.approx([240, 240, 240], abs=2)


def test_reinhard_brings_mean_and_deviation_to_the_reference() -> None:
    image = np.random.default_rng(1).normal((150, 120, 160), 12, (60, 60, 3)).clip(0, 255).astype(np.uint8)
    reference = {"l_mean": 140, "a_mean": 135, "b_mean": 120, "l_std": 20, "a_std": 6, "b_std": 7}
    lab = cv2.cvtColor(preprocess(image, steps({"reinhard": reference}, size_px=60)), cv2.COLOR_RGB2LAB)
    mean, std = (np.ravel(values) for values in cv2.meanStdDev(lab))
    assert mean == pytest.approx([140, 135, 120], abs=2)
    assert std == pytest.approx([20, 6, 7], rel=0.15)


def test_macenko_makes_two_laboratories_alike() -> None:
    """The same film, its nuclei bluer and its stain half as strong, and in the other laboratory's dyes."""
    image = film(0.1)
    density = -np.log((image + 1.0) / 241)
    other = 241 * np.exp(-density @ np.diag([0.75, 0.55, 0.4])) - 1
    both = [
        preprocess(each.clip(0, 255).astype(np.uint8), steps("white_balance", "macenko")) for each in (image, other)
    ]
    before = np.abs(to_input(image, SIZE_PX) - to_input(other.astype(np.uint8), SIZE_PX).astype(float)).mean()
    assert np.abs(both[0].astype(float) - both[1]).mean() < 0.35 * before


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("blur", "there is none; known are square, resize"),
        ({"gaussian": {"sigma": 2}}, "unknown sigma; known are sigma_px"),
        ({"gaussian": {"sigma_px": 0}}, r"sigma_px: wanted 0\.1 to 20, got 0"),
        ({"gaussian": {"sigma_px": float("nan")}}, "got nan"),
        ({"kmeans_mask": {"clusters": 2.5}}, "whole number"),
        ({"kmeans_mask": {"clusters": 3, "keep": 3}}, "keep: wanted 1 to 2"),
        ({"edges": {"low": 200, "high": 100}}, "high: wanted 200"),
        ({"scale": {"um_per_px": 0}}, r"um_per_px: wanted 0\.01"),
        ({"square": {"side": 3}}, "known are none"),
        ({"gaussian": {"sigma_px": "wide"}}, "wanted a name, or a name with numbers"),
        ({"gaussian": {}, "edges": {}}, "wanted a name, or a name with numbers"),
        (7, "wanted a name, or a name with numbers"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused_with_its_name(value: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        steps(value)


def test_what_needs_colour_is_refused_after_colour_is_gone() -> None:
    with pytest.raises(DataError, match="step kmeans_mask: it needs colours, and lab_a leaves none"):
        steps("lab_a", "gaussian", "kmeans_mask")


@pytest.mark.parametrize("um_per_px", [0.0, -1.0, 100.0, float("nan")])
def test_a_scale_that_makes_no_sense_is_refused(um_per_px: float) -> None:
    with pytest.raises(DataError, match="um_per_px"):
        preprocess(film(), Preprocessing(DEFAULT_STEPS, 8), um_per_px)


def test_settings_are_taken_as_numbers() -> None:
    assert read_steps([{"gaussian": {"sigma_px": 2}}, {"edges": None}]) == (
        StepSettings("gaussian", {"sigma_px": 2.0}),
        StepSettings("edges"),
    )


def test_a_device_imports_nothing_heavy_for_its_steps() -> None:
    code = (
        "import sys, hemaloop.inference.classifier, hemaloop.device.agent\n"
        "print(sorted({'skimage', 'scipy', 'tensorflow', 'keras', 'pandas', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
