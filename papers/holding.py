"""How far a system's shipped file holds up under the honest protocol where colour, stain and laboratory differ."""

from collections.abc import Sequence

from papers.protocols import HONEST
from papers.rows import Result, Row, percent

HEAD = (
    "system", "as they are", "without colour", "re-stained", "simulated laboratories: mean", "worst",
    "colour alone, without a network", "images",
)  # fmt: skip
SAYS = (
    "Macro sensitivity in percent of the shipped file under the honest protocol, on part of the test images: as they "
    'are, in grey, with another stain, and as seen through simulated laboratories that no training saw. "Colour '
    "alone\" is, on all test images as the network is given them, the nearest training image by its colours' means and "
    "deviations: what needs no network at all."
)


def holding(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """A row of HEAD for each system that was run honestly."""
    runs = [(row.title, row.runs[HONEST]) for row in rows if HONEST in row.runs and row.is_clean]
    return [(title, *_cells(run)) for title, run in runs if "examined" in run]


def _cells(run: Result) -> tuple[str, ...]:
    seen = run["examined"]
    shortcut, elsewhere = seen["shortcut"], seen["laboratories"]
    of_files = [shortcut[name] for name in ("model", "model_on_grey", "model_on_restained")]
    worst = elsewhere["shifts"][elsewhere["worst"]]["macro_sensitivity"]
    return (
        *(percent(each["macro_sensitivity"]) for each in of_files),
        percent(elsewhere["mean"]),
        f"{percent(worst)} ({elsewhere['worst'].replace('_', ' ')})",
        percent(shortcut["colour_alone"]["macro_sensitivity"]),
        str(shortcut["model"]["images"]),
    )
