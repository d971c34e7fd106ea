"""What was found, as rows for a spreadsheet and as JSON."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hemaloop.fields.field import Field, Refused, round_side
from hemaloop.fields.parts import part_of
from hemaloop.fields.scoring import CellScore, ScaleScore

Row = dict[str, Any]


def crop_name(field: Field, number: int, root: Path) -> str:
    """The file of a cell's crop, with the folder of `root` that its field lies in: fields of two may have one name."""
    return f"{field.path.relative_to(root).with_suffix('').as_posix()}-{field.cells[number].box}.png"


def cell_rows(fields: Sequence[Field], root: Path) -> Iterator[Row]:
    """A row for each cell; micrometres where the scale is known."""
    for field in fields:
        matched = {each.found: each.iou for each in field.matches}
        for number, cell in enumerate(field.cells):
            row: Row = {"file": field.path.relative_to(root).as_posix(), "crop": crop_name(field, number, root)}
            row |= {"left": cell.box.left, "top": cell.box.top, "right": cell.box.right, "bottom": cell.box.bottom}
            um = field.um_per_px or math.nan
            row |= {"width_um": round(cell.box.width * um, 2), "height_um": round(cell.box.height * um, 2)}
            row |= {"cut_by_border": int(cell.is_cut)}
            if field.annotated is not None:
                row |= {"annotated": int(number in matched), "iou": round(matched.get(number, 0.0), 4)}
            if cell.answer is not None:
                row |= {"label": cell.answer.label}
                row |= {f"p_{name}": round(value, 6) for name, value in cell.answer.probabilities.items()}
            yield row


def field_rows(fields: Sequence[Field], refused: Sequence[Refused], root: Path) -> Iterator[Row]:
    """A row for each file, those that were refused too."""
    for field in fields:
        row: Row = {"file": field.path.relative_to(root).as_posix(), "part": part_of(field.path) or ""}
        row |= {"cells": len(field.cells), "um_per_px": _rounded(field.um_per_px)}
        scale = field.scale
        row |= {
            "estimated_um_per_px": _rounded(scale.um_per_px if scale else None),
            "low": _rounded(scale.low if scale else None),
            "high": _rounded(scale.high if scale else None),
            "told_by": scale.by if scale else "",
            "told_by_count": scale.count if scale else 0,
        }
        if field.annotated is not None:
            side = round_side(field.annotated.red, field.width, field.height)
            row |= {"annotated": len(field.annotated.white), "matched": len(field.matches)}
            row |= {"round_red_cell_px": side if side is not None else ""}
        yield row | {"refused": ""}
    for each in refused:
        yield {"file": each.path.relative_to(root).as_posix(), "refused": each.reason}


def to_csv(rows: Sequence[Row]) -> bytes:
    """Columns in the order in which they first come; what a row lacks is empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def to_json(scores: Mapping[str, tuple[CellScore, ScaleScore]], told: Row) -> bytes:
    """`told`: what else belongs beside the figures. NaN becomes null: JSON knows none."""
    parts = {name: {"white_cells": asdict(cells), "scale": asdict(scale)} for name, (cells, scale) in scores.items()}
    return (json.dumps(_without_nan(told | {"parts": parts}), indent=2, allow_nan=False) + "\n").encode()


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _rounded(value: float | None) -> float | str:
    return "" if value is None else round(value, 5)
