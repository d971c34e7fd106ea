"""Which images a device tests a model on before it trusts it. Pure."""

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Answered:
    """A test image and what the shipped file said."""

    sha256: str
    actual: str
    predicted: str


def choose(answers: list[Answered], count: int) -> list[str]:
    """SHA-256 of up to `count` correctly classified test images, the classes taking turns, always the same ones."""
    queues: dict[str, list[str]] = {}
    for answer in sorted(answers, key=lambda answer: answer.sha256):
        if answer.actual == answer.predicted:
            queues.setdefault(answer.actual, []).append(answer.sha256)
    chosen: list[str] = []
    while len(chosen) < count and any(queues.values()):
        for label in sorted(queues):
            if queues[label] and len(chosen) < count:
                chosen.append(queues[label].pop(0))
    return chosen


def read_answers(folder: Path) -> list[Answered]:
    """What evaluation wrote in the clone `folder`."""
    with (folder / "evaluation/predictions.csv").open(newline="") as stream:
        return [Answered(row["sha256"], row["actual"], row["predicted"]) for row in csv.DictReader(stream)]


def image_scales(folder: Path) -> dict[str, float | None]:
    """SHA-256 -> micrometres per pixel, of every image of the manifest; None where unknown."""
    with (folder / "data/manifest.csv").open(newline="") as stream:
        rows = csv.DictReader(stream)
        return {row["sha256"]: float(row["um_per_px"]) if row.get("um_per_px") else None for row in rows}


def image_paths(folder: Path) -> dict[str, Path]:
    """SHA-256 -> file, of every image of the manifest."""
    with (folder / "data/manifest.csv").open(newline="") as stream:
        return {row["sha256"]: folder / row["image"] for row in csv.DictReader(stream)}
