"""Section `fields` of params.yaml."""

from dataclasses import dataclass

from hemaloop.config import check


@dataclass(frozen=True)
class FieldsParams:
    seed: int
    iou: float  # of a found box with an annotated one, from which on the cell counts as found
    field_um: float  # side of the square that is cut out around a cell, micrometres
    bootstrap_rounds: int
    red_cell_um: float  # side of an annotator's box around a round red cell, micrometres

    def __post_init__(self) -> None:
        check(0 < self.iou <= 1, f"iou: wanted above 0, at most 1, got {self.iou}")
        check(0 < self.field_um <= 1000, f"field_um: wanted micrometres, got {self.field_um}")
        check(self.bootstrap_rounds >= 100, f"bootstrap_rounds: wanted at least 100, got {self.bootstrap_rounds}")
        check(0 < self.red_cell_um <= 100, f"red_cell_um: wanted micrometres, got {self.red_cell_um}")
