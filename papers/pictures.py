"""Sample test images with their actual and predicted class, as S4 and S5 show them; never kept in the repository."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hemaloop.imaging.decode import decode
from hemaloop.inference.preprocess import to_input
from hemaloop.model.preparation import read_manifest
from hemaloop.model.prepared import TEST
from hemaloop.model.report.blocks import Picture
from hemaloop.model.report.page import BAD, GOOD
from hemaloop.model.report.pictures import data_address

SHOWN = 12
_SIDE_PX = 192


def samples(folder: Path, seed: int = 7) -> Sequence[Picture]:
    """Drawn at random among a run's test images; none where the run's folder is not on this machine."""
    predictions = folder / "evaluation" / "predictions.csv"
    if not predictions.exists():
        return ()
    with predictions.open(newline="", encoding="utf-8") as stream:
        answered = {row["sha256"]: row for row in csv.DictReader(stream)}
    images = [image for image in read_manifest(folder / "data" / "manifest.csv") if image.side == TEST]
    drawn = np.random.default_rng(seed).permutation(len(images))[:SHOWN]
    return [_picture(folder / images[place].image, answered[images[place].sha256]) for place in drawn]


def _picture(path: Path, row: dict[str, str]) -> Picture:
    pixels = to_input(decode(path.read_bytes()), _SIDE_PX)
    right = row["actual"] == row["predicted"]
    note = f"{100 * float(row['p_' + row['predicted']]):.0f} % sure"
    return Picture(
        data_address(pixels), f"a cell, {row['actual']}", f"{row['actual']}, seen as {row['predicted']}", note,
        tone=GOOD if right else BAD,
    )  # fmt: skip
