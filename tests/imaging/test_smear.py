from pathlib import Path

import numpy as np
import pytest

from hemaloop.errors import DataError
from hemaloop.imaging.decode import decode
from hemaloop.imaging.smear import CLASSES, SIDE, Slide, draw, write_smears


@pytest.mark.parametrize("label", CLASSES)
def test_a_seed_draws_one_image_and_another_seed_another(label: str) -> None:
    image = draw(label, Slide.of(3), 8)
    assert (image.shape, image.dtype) == ((SIDE, SIDE, 3), np.uint8)
    assert np.array_equal(image, draw(label, Slide.of(3), 8))
    assert not np.array_equal(image, draw(label, Slide.of(3), 9))
    assert not np.array_equal(image, draw(label, Slide.of(4), 8))


def test_an_unknown_class_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"blast.*basophil"):
        draw("blast", Slide.of(1), 1)


def test_slides_differ_in_stain_and_lamp() -> None:
    slides = [Slide.of(seed) for seed in range(20)]
    assert len({slide.absorbers for slide in slides}) == len({slide.lamp for slide in slides}) == 20


def middle_density(label: str, seed: int) -> np.ndarray:
    """Mean optical density in RGB of the middle 60 x 60 px: within every white cell."""
    image = draw(label, Slide.of(seed), seed)[150:210, 150:210].astype(float) + 1
    return np.asarray(np.log10(np.array(Slide.of(seed).lamp) / image).mean(axis=(0, 1)))


def test_classes_differ_as_their_morphology_says() -> None:
    density = {label: np.mean([middle_density(label, seed) for seed in range(25)], axis=0) for label in CLASSES}
    redness = {label: float(value[0] / value[1]) for label, value in density.items()}
    assert min(redness, key=lambda label: redness[label]) == "eosinophil"  # orange lets red light through
    darkest = sorted(density, key=lambda label: float(density[label].sum()))[-2:]
    assert sorted(darkest) == ["basophil", "lymphocyte"]  # granules over all, and a nucleus that fills the cell


def test_a_set_is_written_in_class_folders_and_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_smears(tmp_path / name, slides_per_class=2, images_per_slide=2, seed=5)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.jpg"))
    assert len(files) == len(CLASSES) * 4
    assert Path("monocyte/monocyte-001-000.jpg") in files
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    assert len({(tmp_path / "a" / file).read_bytes() for file in files}) == len(files)
    assert decode((tmp_path / "a" / files[0]).read_bytes()).shape == (SIDE, SIDE, 3)
