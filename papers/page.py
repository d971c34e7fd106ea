"""The comparison as one HTML page with plots, which needs nothing else."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from hemaloop.model.evaluation.bootstrap import Figure
from hemaloop.model.report.blocks import bullets, confusion, figure, gallery, paragraph, table
from hemaloop.model.report.page import Section, render
from hemaloop.model.report.plots import Estimate, Line, intervals, lines
from papers.holding import HEAD as HOLDING
from papers.holding import SAYS, holding
from papers.pictures import samples
from papers.protocols import HONEST, PAPER
from papers.rows import Folds, Row, names_of, percent
from papers.shortened import CHANGES, changes_told
from papers.systems import System, Systems
from papers.table import COSTS, HEAD, SAID, cells, choices_told, missing_told, said_told, weights_told

_SERIES = {"its paper": 0, "ours, as it does": 1, "ours, honestly": 2}


def to_html(rows: Sequence[Row], folds: Sequence[Folds], systems: Systems, form: str, work: Path) -> str:
    """Args: work: the folder of the form's runs, from which sample images come where it is on this machine."""
    ran = [row for row in rows if not row.skipped]
    sections = [
        Section("What is compared", [paragraph(_LEAD, "lead"), paragraph(f"Form {form}: {systems.form(form).says}.")]),
        Section("Accuracy and sensitivity", [_intervals(ran, "accuracy"), _intervals(ran, "sensitivity")]),
        Section("All figures", _tables(rows)),
        Section("Not run", _points(missing_told(rows, systems.systems))),
        Section(SAID, _points(said_told(rows))),
        Section("What holds up", _holding(rows)),
        Section(CHANGES, _points(changes_told(systems, names_of(rows), form))),
        Section("Curves", _curves(ran)),
        Section("Who is taken for whom", _confusions(ran, systems.systems)),
        Section("Sample images", _samples(ran, work)),
        Section("Ten blocks", _points([_told(fold) for fold in folds])),
        Section("Weights that training began with", _points(weights_told(rows))),
        Section("Chosen where the papers are silent", _points(choices_told(systems.systems))),
    ]
    return render("Published systems, run and compared", [each for each in sections if each.blocks])


def _tables(rows: Sequence[Row]) -> list[Markup]:
    """The one table of the Markdown, in two that fit a page."""
    found = [cells(row) for row in rows]
    scores = table(HEAD[:COSTS], [row[:COSTS] for row in found], "Shares in percent, of the shipped file")
    costs = [(row[0], *row[COSTS:]) for row in found]
    return [scores, table((HEAD[0], *HEAD[COSTS:]), costs, "Times faster than float MobileNetV2 1.0 at 224 px")]


def _holding(rows: Sequence[Row]) -> list[Markup]:
    found = holding(rows)
    return [table(HOLDING, found, SAYS)] if found else []


def _points(texts: Sequence[str]) -> list[Markup]:
    return [bullets(texts)] if texts else []


_LEAD = (
    "Each published system was run by this project's own pipeline, twice. Under its paper's protocol images are drawn "
    "one by one, duplicates and neighbours and all. Under the honest protocol whole blocks of contiguous file numbers "
    "are held out, since no patient or slide ids are known; duplicates and lookalikes never stand on two sides; the "
    "test images are the same for every system on a data set. Figures are of the shipped, quantised file."
)


def _intervals(rows: Sequence[Row], what: str) -> Markup:
    """Three dots a system: its paper's, ours as the paper does, ours honestly."""
    name = "accuracy" if what == "accuracy" else "macro_sensitivity"
    estimates = []
    for row in rows:
        seen = [Figure(getattr(row.reported, what)), _figure(row, PAPER, name), _figure(row, HONEST, name)]
        estimates += [
            Estimate(f"{row.name}: {who}", each, series)
            for (who, series), each in zip(_SERIES.items(), seen, strict=True)
            if each.value is not None
        ]
    label = "accuracy" if what == "accuracy" else "macro sensitivity (recall)"
    drawn = intervals(estimates, label, f"{label} of each system: its paper's, and ours under two protocols")
    return figure(drawn, f"{label.capitalize()}, with 95 % intervals over groups where they are ours", wide=True)


def _figure(row: Row, protocol: str, name: str) -> Figure:
    return Figure(*(row.figure(protocol, name + end) for end in ("", "_low", "_high")))


def _curves(rows: Sequence[Row]) -> list[Markup]:
    """Accuracy and loss by epoch, beside the points that a paper gives."""
    drawn = []
    for row in rows:
        if not row.reported.epochs or PAPER not in row.runs:
            continue
        curve = row.runs[PAPER]["curves"]
        epochs = [point["epoch"] for point in curve]
        for name in ("accuracy", "loss"):
            told = [(point["epoch"], point[name]) for point in row.reported.epochs]
            series = [
                Line("ours, training", epochs, [point[name] for point in curve]),
                Line("ours, validation", epochs, [point[f"val_{name}"] for point in curve]),
                Line("its paper", *zip(*told, strict=True)),
            ]
            plot = lines(series, "epoch", name, f"{name} of {row.title} by epoch")
            drawn.append(figure(plot, f"{row.title}: {name} by epoch, under its paper's protocol"))
    return drawn


def _confusions(rows: Sequence[Row], systems: dict[str, System]) -> list[Markup]:
    return [
        confusion(list(systems[row.name].classes), row.runs[HONEST]["confusion"], f"{row.title}, honest protocol")
        for row in rows
        if row.name in systems and HONEST in row.runs
    ]


def _samples(rows: Sequence[Row], work: Path) -> list[Markup]:
    shown = [row for row in rows if row.reported.epochs or row.name == "streaming"]
    found = [(row, samples(work / f"{row.name}-{HONEST}")) for row in shown]
    return [gallery(some, f"{row.title}: test images, actual and predicted class") for row, some in found if some]


def _told(fold: Folds) -> str:
    return f"{fold.name}: macro sensitivity {percent(fold.mean)} mean, {percent(fold.worst)} worst of {fold.folds}"
