"""What an earlier run prepared is used again where, and only where, preparing anew would give the same."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hemaloop.errors import DataError
from hemaloop.inference.preprocess import Preprocessing, read_steps
from hemaloop.model import earlier
from hemaloop.model.preparation import Done, prepare
from hemaloop.model.prepared import PreparedImage, read_prepared

STEPS = Preprocessing(read_steps(["square", "resize"]), 32)


def some_images(folder: Path, count: int) -> list[PreparedImage]:
    images = []
    for number in range(count):
        content = cv2.imencode(".png", np.random.default_rng(number).integers(0, 255, (40, 50, 3), np.uint8))[
            1
        ].tobytes()
        (folder / f"{number}.png").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        images.append(PreparedImage(sha256, "a", f"g{number}", "train", "pi-1", "", "0.2", f"{number}.png"))
    return images


def run(folder: Path, images: list[PreparedImage], steps: Preprocessing = STEPS) -> tuple[Done, np.ndarray]:
    """As `dvc repro` does, which removes what the stage wrote."""
    for path in (folder / "prepared").glob("*"):
        path.unlink()
    done = prepare(images, folder, folder / "prepared", steps, "zero_one", folder / "earlier")
    return done, np.array(read_prepared(folder / "prepared").pixels)


def test_only_what_is_new_is_prepared(tmp_path: Path) -> None:
    images = some_images(tmp_path, 5)
    done, first = run(tmp_path, images[:3])
    assert done == Done(3, reused=0)
    done, second = run(tmp_path, [images[4], *images[:4]])
    assert done == Done(5, reused=3)
    assert np.array_equal(second[1:4], first)


@pytest.mark.parametrize(
    "other",
    [
        Preprocessing(read_steps(["square", "resize"]), 33),
        Preprocessing(read_steps(["square", {"gaussian": {"sigma_px": 2}}, "resize"]), 32),
    ],
)
def test_other_steps_prepare_anew(tmp_path: Path, other: Preprocessing) -> None:
    images = some_images(tmp_path, 2)
    run(tmp_path, images)
    assert run(tmp_path, images, other)[0].reused == 0


def test_another_scale_and_other_code_prepare_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = some_images(tmp_path, 2)
    run(tmp_path, images)
    assert run(tmp_path, [replace(images[0], um_per_px="0.3"), images[1]])[0].reused == 1
    changed = tmp_path / "changed.py"
    changed.write_text("# another line\n")
    monkeypatch.setattr(earlier, "_code", lambda: iter([changed]))
    assert run(tmp_path, images)[0].reused == 0


def test_a_damaged_row_is_prepared_anew(tmp_path: Path) -> None:
    images = some_images(tmp_path, 3)
    _, first = run(tmp_path, images)
    kept = next((tmp_path / "earlier").glob("*/images.npy"))
    pixels = np.load(kept, mmap_mode="r+")
    pixels[1, 0, 0] ^= 1
    pixels.flush()
    done, again = run(tmp_path, images)
    assert done.reused == 2
    assert np.array_equal(again, first)


@pytest.mark.parametrize("broken", ["index.csv", "images.npy"])
def test_a_broken_entry_is_not_used(tmp_path: Path, broken: str) -> None:
    images = some_images(tmp_path, 2)
    run(tmp_path, images)
    next((tmp_path / "earlier").glob(f"*/{broken}")).write_text("nothing")
    assert run(tmp_path, images)[0].reused == 0


def test_what_is_no_longer_there_is_told_though_it_was_prepared_once(tmp_path: Path) -> None:
    images = some_images(tmp_path, 2)
    run(tmp_path, images)
    (tmp_path / "1.png").unlink()
    with pytest.raises(DataError, match=r"1\.png is not there"):
        run(tmp_path, images)


def test_bytes_that_are_not_those_of_the_manifest_are_kept_under_their_own_name(tmp_path: Path) -> None:
    images = some_images(tmp_path, 2)
    content = (tmp_path / "0.png").read_bytes()
    (tmp_path / "0.png").write_bytes((tmp_path / "1.png").read_bytes())
    run(tmp_path, images)
    (tmp_path / "0.png").write_bytes(content)
    done, pixels = run(tmp_path, images)
    assert done.reused == 1
    assert not np.array_equal(pixels[0], pixels[1])


def test_two_entries_are_kept_and_the_newest_takes_no_room(tmp_path: Path) -> None:
    images = some_images(tmp_path, 4)
    for count, time in ((1, 1), (2, 2), (3, 3), (4, 4)):
        run(tmp_path, images[:count])
        newest = max((tmp_path / "earlier").iterdir(), key=lambda entry: entry.stat().st_mtime)
        os.utime(newest, (time, time))
        prepared = tmp_path / "prepared/images.npy"
        assert prepared.samefile(newest / "images.npy")
    assert sorted(entry.stat().st_mtime for entry in (tmp_path / "earlier").iterdir()) == [3, 4]
