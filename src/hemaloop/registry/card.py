"""The model card and the TRIPOD+AI table, as Markdown. What only the laboratory knows is left to it, in so many words.

Sources: Mitchell et al. 2019, "Model cards for model reporting", arXiv:1810.03993: its nine sections, in its order;
Collins et al. 2024, "TRIPOD+AI statement", BMJ 385:e078378: its 27 items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

LABORATORY = "To be stated by the laboratory"
ABSENT = "not measured"
DETAILS = "## Model details"  # what stands above it is the short card
LONGEST = 4000  # signs of a short card: MLflow keeps 5000


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; None: not measured."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.value is None:
            return ABSENT
        interval = "" if self.low is None or self.high is None else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f}{interval}"


@dataclass(frozen=True)
class SideCounts:
    """Images of one class on each side."""

    label: str
    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class Facts:
    """What the software knows of one model, from the figures of its evaluation."""

    hemaloop: str  # version
    commit: str  # that the run began on; "" outside git
    sha256: str  # of the shipped file
    bytes: int
    float_bytes: int | None
    classes: tuple[str, ...]
    preprocessing: str
    network: str
    scaling: str  # of the pixels, by the first layer
    form: str  # int8, int16x8 or float16
    augmentation: str
    training: str  # epochs, loss, seed
    pruning: str
    imbalance: str
    sides: tuple[SideCounts, ...]  # () where not known
    groups: int | None  # of all sides
    excluded: int
    unlabelled: int
    dates: str  # when the images were captured
    test_groups: str  # how many, and what they are
    figures: tuple[Estimate, ...]  # of the shipped file
    parent: tuple[Estimate, ...]  # of its float parent, in the same order
    by_class: tuple[Estimate, ...]  # sensitivity
    subgroups: tuple[Estimate, ...]  # macro sensitivity
    elsewhere: tuple[Estimate, ...]  # macro sensitivity: without colour, other stains, other laboratories
    times_as_fast: float | None  # as the float file
    threshold: str  # below which a person is asked, and what it does
    strangers: str
    updating: str  # of the model after training
    gate: str
    limits: tuple[str, ...]


def write_card(facts: Facts) -> str:
    """The model card."""
    speed = ABSENT if facts.times_as_fast is None else f"{facts.times_as_fast:.1f} times"
    analyses = (
        ("Sensitivity of each class", facts.by_class),
        ("Macro sensitivity of subgroups", facts.subgroups),
        ("Macro sensitivity elsewhere", facts.elsewhere),
    )
    return _render("model-card.md", facts, speed=speed, analyses=analyses)


def write_tripod(facts: Facts) -> str:
    """The TRIPOD+AI table."""
    return _render(
        "tripod-ai.md", facts, counts=_counts(facts), by_class=_by_class(facts), listed=lambda found: _listed(found)
    )


def short_card(card: str) -> str:
    """What a card says first: enough for a list of versions."""
    return card.split(DETAILS, 1)[0].strip()[:LONGEST]


def _render(template: str, facts: Facts, **values: object) -> str:
    return _environment().get_template(template).render(facts=facts, laboratory=LABORATORY, **values)


@cache
def _environment() -> Environment:
    """Markdown, not HTML: nothing is escaped but what would break a table or a list."""
    made = Environment(
        loader=PackageLoader(__package__), autoescape=False, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    made.filters["cell"] = _cell
    return made


def _cell(value: object) -> str:
    """One line that ends no table cell and opens no tag."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _counts(facts: Facts) -> str:
    """Images on each side."""
    if not facts.sides:
        return f"Counts: {ABSENT}."
    totals = {side: sum(getattr(each, side) for each in facts.sides) for side in ("train", "validation", "test")}
    return "Images: " + ", ".join(f"{count} {side}" for side, count in totals.items()) + "."


def _by_class(facts: Facts) -> str:
    counts = [f"{each.label} {each.train}, {each.validation}, {each.test}" for each in facts.sides]
    return _cell("; ".join(counts) + " (train, validation, test)." if counts else f"Counts: {ABSENT}.")


def _listed(estimates: Sequence[Estimate]) -> str:
    return _cell(("; ".join(f"{each.name} {each}" for each in estimates) or ABSENT) + ".")
