"""Focus, against the measure that everybody begins with: the variance of the Laplacian, with one threshold."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from smears import smear
from test_measure import SETS, real_images

from hemaloop.imaging import faults
from hemaloop.imaging.decode import Image, decode, encode_jpeg
from hemaloop.imaging.measure import focus, measure

PARAMS = Path(__file__).parents[2] / "params.yaml"


def enlarged(image: Image, times: float) -> Image:
    return cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)


def pale(image: Image) -> Image:
    """An evenly coloured field: a third of the contrast."""
    return (235 + (image.astype(np.float32) - 235) * 0.35).clip(0, 255).astype(np.uint8)


def laplacian_variance(data: bytes) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(decode(data), cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


def misjudged(sharp: Sequence[float], blurred: Sequence[float], threshold: float) -> int:
    return sum(value < threshold for value in sharp) + sum(value >= threshold for value in blurred)


def check_focus(images: Sequence[Image], sizes: Sequence[float]) -> None:
    """Ours judges all rightly by params.yaml's threshold; the variance misjudges a tenth by whatever threshold."""
    lowest = yaml.safe_load(PARAMS.read_text())["validate"]["focus"][0]
    changed = [enlarged(each, size) for image in images for size in sizes for each in (image, pale(image))]
    sharp = [encode_jpeg(image) for image in changed]
    blurred = [faults.blur(data) for data in sharp]
    assert misjudged([measure(data).focus for data in sharp], [measure(data).focus for data in blurred], lowest) == 0
    others = [laplacian_variance(data) for data in sharp], [laplacian_variance(data) for data in blurred]
    best = min(misjudged(*others, threshold) for threshold in (*others[0], *others[1]))
    assert best >= 0.1 * (len(sharp) + len(blurred)), f"the best threshold misjudges {best} of {2 * len(sharp)}"


def test_no_threshold_of_the_laplacian_judges_pale_and_large_fields_and_ours_does() -> None:
    check_focus([decode(smear(seed)) for seed in range(2)], (1, 2, 4))


@pytest.mark.images
@pytest.mark.parametrize("name", SETS)
def test_real_images_are_judged_rightly_pale_and_large_too(test_images: Path, name: str) -> None:
    images = [decode(data) for data in real_images(test_images / name, 2)]
    check_focus(images, (1, 2.5) if name == "bccd-fields" else (1, 2, 4))


def test_focus_is_the_same_for_the_same_picture_at_twice_its_size() -> None:
    image = decode(smear())
    assert measure(encode_jpeg(enlarged(image, 2), 95)).focus == pytest.approx(
        measure(encode_jpeg(image, 95)).focus, rel=0.15
    )


def test_focus_falls_the_more_an_image_is_blurred() -> None:
    grey = cv2.cvtColor(decode(smear()), cv2.COLOR_RGB2GRAY)
    values = [focus(cv2.GaussianBlur(grey, (0, 0), sigma)) for sigma in (0.5, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
