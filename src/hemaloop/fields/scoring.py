"""How right found cells and scales are, with intervals from a bootstrap over fields."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hemaloop.fields.field import Field, round_side

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval; NaN where nothing was there to tell it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class CellScore:
    fields: int
    expected: int  # annotated cells
    found: int
    matched: int
    recall: Figure
    precision: Figure
    mean_iou: Figure  # of matched cells


@dataclass(frozen=True)
class ScaleScore:
    """Against annotators' boxes around round, uncut red cells. Fields with fewer than three of those are left out."""

    fields: int  # with a truth
    estimated: int  # of those; all figures are over these, whatever told the scale
    by_nucleus: int
    median_error: Figure  # relative
    p90_error: Figure
    bias: Figure  # median of estimate over truth
    coverage: Figure  # share of the estimates whose interval holds the field's own truth
    coverage_of_all: Figure  # share whose interval holds the median truth: one microscope made all fields
    boxes_spread: float  # standard deviation of the logarithm of the fields' own truths: how sure the truth is


def score_cells(fields: Sequence[Field], rounds: int, rng: np.random.Generator) -> CellScore:
    """Each field must be annotated."""
    counts = np.array([_counts(field) for field in fields], np.float64).reshape(-1, 4)
    picks = rng.integers(0, len(counts), (rounds, len(counts)))
    sums = counts[picks].sum(axis=1)
    expected, found, matched, _ = (int(total) for total in counts.sum(axis=0))
    figures = (_ratio(counts, sums, 2, 0), _ratio(counts, sums, 2, 1), _ratio(counts, sums, 3, 2))
    return CellScore(len(fields), expected, found, matched, *figures)


def _counts(field: Field) -> tuple[float, ...]:
    """Annotated, found and matched cells, and the sum of the IoUs."""
    expected = len(field.annotated.white) if field.annotated else 0
    return expected, len(field.cells), len(field.matches), sum(each.iou for each in field.matches)


def _ratio(counts: Floats, sums: Floats, above: int, below: int) -> Figure:
    """Of two columns' sums; rounds in which nothing is below the line say nothing."""
    total = counts.sum(axis=0)
    told = sums[sums[:, below] > 0]
    if not total[below] or not len(told):
        return Figure(float("nan"), float("nan"), float("nan"))
    low, high = np.percentile(told[:, above] / told[:, below], [2.5, 97.5])
    return Figure(float(total[above] / total[below]), float(low), float(high))


def score_scale(fields: Sequence[Field], red_cell_um: float, rounds: int, rng: np.random.Generator) -> ScaleScore:
    """`red_cell_um`: side of an annotator's box around a red cell, micrometres."""
    truths = [(field, red_cell_um / side) for field in fields if (side := _side(field)) is not None]
    told = [(field.scale, truth) for field, truth in truths if field.scale]
    ratios = np.array([scale.um_per_px / truth for scale, truth in told])
    middle = float(np.median([truth for _, truth in truths])) if truths else float("nan")
    inside = np.array([float(scale.low <= truth <= scale.high) for scale, truth in told])
    of_all = np.array([float(scale.low <= middle <= scale.high) for scale, _ in told])
    by_nucleus = sum(scale.by == "nucleus" for scale, _ in told)
    picks = rng.integers(0, max(1, len(told)), (rounds, len(told)))
    return ScaleScore(
        len(truths), len(told), by_nucleus,
        _quantile(np.abs(ratios - 1), picks, 50),
        _quantile(np.abs(ratios - 1), picks, 90),
        _quantile(ratios, picks, 50),
        _mean(inside, picks),
        _mean(of_all, picks),
        float(np.std(np.log([truth for _, truth in truths]))) if truths else float("nan"),
    )  # fmt: skip


def _side(field: Field) -> float | None:
    return round_side(field.annotated.red, field.width, field.height) if field.annotated else None


def _quantile(values: Floats, picks: NDArray[np.int64], percent: float) -> Figure:
    if not len(values):
        return Figure(float("nan"), float("nan"), float("nan"))
    low, high = np.percentile(np.percentile(values[picks], percent, axis=1), [2.5, 97.5])
    return Figure(float(np.percentile(values, percent)), float(low), float(high))


def _mean(values: Floats, picks: NDArray[np.int64]) -> Figure:
    if not len(values):
        return Figure(float("nan"), float("nan"), float("nan"))
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
    return Figure(float(values.mean()), float(low), float(high))
