"""A round's measures as a table: one row an upload, with the limits that apply to it."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.rounds import device_of
from hemaloop.ingest.rules import rules
from hemaloop.ingest.thresholds import QUALITIES, Limits, Thresholds, thresholds_for

_NUMBERS = ("bytes", "shorter_side_px", "longer_side_px", "jpeg_quality", "bit_depth", *QUALITIES)


def limits_of(found: Measured, thresholds: Thresholds) -> dict[str, Limits]:
    """What applies to an upload: its device is in its key, its stain in its sidecar."""
    return thresholds_for(thresholds, device_of(found.key), found.sidecar.stain if found.sidecar else None)


def tabulate(measured: Sequence[Measured], thresholds: Thresholds) -> pd.DataFrame:
    """One row an upload; what is not known of one is missing there."""
    limited = {(rule.threshold, rule.end) for rule in rules() if rule.threshold}
    table = pd.DataFrame([_row(found) for found in measured])
    table = table.astype(dict.fromkeys(_NUMBERS, float))
    limits = [limits_of(found, thresholds) for found in measured]
    for name, end in sorted(limited):
        table[f"{name}_{end}"] = [float(getattr(each[name], end)) for each in limits]
    return table


def _row(found: Measured) -> dict[str, Any]:
    row = {"upload": found.upload, "key": found.key, "device": device_of(found.key), "reading": found.reading}
    row |= {"problem": "", "private": "", "bytes": found.bytes}
    row |= dict.fromkeys(name for name in _NUMBERS if name != "bytes")
    measures = found.measures
    if measures is None:
        return row
    row |= {"problem": measures.problem, "private": "yes" if measures.private_exif else ""}
    if not measures.problem:
        sides = (measures.width, measures.height)
        row |= {"shorter_side_px": min(sides), "longer_side_px": max(sides)}
        row |= {"jpeg_quality": measures.jpeg_quality or None, "bit_depth": measures.bit_depth or None}
        row |= {name: getattr(measures, name) for name in QUALITIES}
    return row
