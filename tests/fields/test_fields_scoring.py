"""What is said of found cells and scales is what was counted, and intervals come from fields."""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.fields.field import Annotated, Cell, Field, Refused, is_cut, round_side
from hemaloop.fields.parts import part_of, parts
from hemaloop.fields.scoring import score_cells, score_scale
from hemaloop.fields.tables import cell_rows, field_rows, to_csv, to_json
from hemaloop.imaging.boxes import Box, match
from hemaloop.imaging.ruler import Scale

ROUNDS = 200
FAR = Box(400, 300, 450, 350)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def red_boxes(side: int, count: int = 3) -> tuple[Box, ...]:
    return tuple(Box(20 + 120 * n, 20, 20 + 120 * n + side, 20 + side) for n in range(count))


def field(
    number: int,
    found: tuple[Box, ...] = (),
    white: tuple[Box, ...] = (),
    red: tuple[Box, ...] = (),
    scale: Scale | None = None,
) -> Field:
    cells = tuple(Cell(box, None, is_cut(box, 640, 480)) for box in found)
    um_per_px = scale.um_per_px if scale else None
    path = Path(f"fields/f_{number:03d}.jpg")
    return Field(path, 640, 480, scale, um_per_px, cells, Annotated(white, red), match(found, white, 0.5))


def told(um_per_px: float, width: float = 1.2, by: str = "red cells") -> Scale:
    return Scale(um_per_px, um_per_px / width, um_per_px * width, by, 5)  # type: ignore[arg-type]


def test_recall_and_precision_are_counted_over_all_cells() -> None:
    box = Box(100, 100, 200, 200)
    fields = [
        field(1, (box,), (box,)),
        field(2, (box, FAR), (box,)),  # one too many
        field(3, (), (box, FAR)),  # two missed
        field(4),  # nothing there, nothing found
    ]
    score = score_cells(fields, ROUNDS, rng())
    assert (score.fields, score.expected, score.found, score.matched) == (4, 4, 3, 2)
    assert (score.recall.value, score.precision.value, score.mean_iou.value) == (0.5, pytest.approx(2 / 3), 1.0)
    assert score.recall.low < 0.5 < score.recall.high


def test_a_cell_found_in_the_wrong_place_counts_as_missed_and_as_wrong() -> None:
    score = score_cells([field(1, (FAR,), (Box(0, 0, 50, 50),))], ROUNDS, rng())
    assert (score.matched, score.recall.value, score.precision.value) == (0, 0.0, 0.0)
    assert math.isnan(score.mean_iou.value)


@given(st.lists(st.floats(0.8, 1.25), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_coverage_is_the_share_of_error_bars_that_hold_the_truth(ratios: list[float]) -> None:
    fields = [field(n, red=red_boxes(75), scale=told(0.1 * ratio, 1.1)) for n, ratio in enumerate(ratios)]
    score = score_scale(fields, 7.5, ROUNDS, rng())
    assert score.coverage.value == pytest.approx(np.mean([ratio / 1.1 <= 1 <= ratio * 1.1 for ratio in ratios]))
    assert score.bias.value == pytest.approx(np.median(ratios))
    assert score.median_error.value == pytest.approx(np.median(np.abs(np.array(ratios) - 1)))
    assert score.coverage.low <= score.coverage.value <= score.coverage.high


def test_scales_that_the_nucleus_told_count_too_and_those_without_truth_do_not() -> None:
    fields = [
        field(1, red=red_boxes(75), scale=told(0.1)),
        field(2, red=red_boxes(75), scale=told(0.2, 1.5, "nucleus")),  # wrong, and its bar does not hold the truth
        field(3, red=red_boxes(75)),  # nothing told
        field(4, red=red_boxes(75, 2), scale=told(0.9)),  # two boxes are no truth
    ]
    score = score_scale(fields, 7.5, ROUNDS, rng())
    assert (score.fields, score.estimated, score.by_nucleus) == (3, 2, 1)
    assert score.coverage.value == 0.5


def test_without_any_truth_the_figures_are_no_numbers() -> None:
    score = score_scale([field(1, scale=told(0.1))], 7.5, ROUNDS, rng())
    assert (score.fields, math.isnan(score.coverage.value), math.isnan(score.boxes_spread)) == (0, True, True)


def test_round_cells_that_the_border_leaves_whole_tell_the_truth() -> None:
    whole = red_boxes(80)
    cut, oval = Box(2, 100, 72, 170), Box(100, 200, 160, 300)
    assert round_side((*whole, cut, oval), 640, 480) == 80
    assert round_side((*whole[:2], cut, oval), 640, 480) is None


@pytest.mark.parametrize(
    ("name", "part"),
    [("BloodImage_00042.jpg", "development"), ("7.png", "held_out"), ("a1b2.jpg", "development"), ("field.jpg", None)],
)
def test_the_last_number_of_a_name_tells_its_part(name: str, part: str | None) -> None:
    assert part_of(Path("set3") / name) == part


def test_a_field_is_in_one_part() -> None:
    fields = [field(n) for n in range(7)]
    found = parts(fields)
    assert found["all"] == tuple(fields)
    assert not set(found["development"]) & set(found["held_out"])
    assert len(found["development"]) + len(found["held_out"]) == 7


def test_tables_hold_each_cell_each_field_and_each_refusal() -> None:
    box = Box(0, 100, 100, 200)
    one = field(1, (box, FAR), (box,), scale=told(0.1))
    cells = list(csv.DictReader(io.StringIO(to_csv(list(cell_rows([one], Path("fields")))).decode())))
    assert [(row["file"], row["annotated"], row["cut_by_border"]) for row in cells] == [
        ("f_001.jpg", "1", "1"), ("f_001.jpg", "0", "0")]  # fmt: skip
    assert (float(cells[0]["width_um"]), cells[0]["crop"]) == (10.0, "f_001-0_100_100_200.png")
    rows = field_rows([one], [Refused(Path("fields/b.jpg"), "no image")], Path("fields"))
    fields = list(csv.DictReader(io.StringIO(to_csv(list(rows)).decode())))
    assert [(row["file"], row["refused"]) for row in fields] == [("f_001.jpg", ""), ("b.jpg", "no image")]
    assert (fields[0]["told_by"], fields[0]["matched"]) == ("red cells", "1")


def test_json_has_null_where_there_is_no_number() -> None:
    scores = {"all": (score_cells([field(1)], ROUNDS, rng()), score_scale([field(1)], 7.5, ROUNDS, rng()))}
    told_all = json.loads(to_json(scores, {"fields": 1}))
    assert told_all["parts"]["all"]["white_cells"]["recall"]["value"] is None
    assert told_all["fields"] == 1
