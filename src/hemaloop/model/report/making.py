"""How the model was made: images, training, pruning, quantisation."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hemaloop.model.report import plots
from hemaloop.model.report.blocks import details, figure, not_measured, paragraph, side_by_side, table
from hemaloop.model.report.findings import Findings, Row, value_of
from hemaloop.model.report.page import Section

SIDES = ("train", "validation", "test")
LAYERS = 12  # of the report of quantisation that are shown at once


def data_section(findings: Findings) -> Section:
    """How many images of each class are on each side."""
    title = "Images"
    dataset = findings.dataset
    if not dataset:
        return Section(title, [not_measured("The counts of the data set")])
    rows = [[label, *(str(sides[side]) for side in SIDES)] for label, sides in dataset["classes"].items()]
    totals = [str(sum(sides[side] for sides in dataset["classes"].values())) for side in SIDES]
    told = (
        f"{dataset['images']} labelled images of {dataset['groups']} groups. A group is on one side only: a patient, "
        "else a slide, else neighbours in time; near-duplicates join groups."
    )
    left_out = (
        f"Left out: {dataset.get('excluded', 0)} images of groups that turned out to be on two sides, and "
        f"{dataset.get('unlabelled', 0)} that nobody has labelled."
    )
    return Section(
        title,
        [paragraph(told), table(["class", *SIDES], [*rows, ["all", *totals]], "Images by side"), paragraph(left_out)],
    )


def training_section(findings: Findings) -> Section:
    """Curves of training and of what followed pruning."""
    blocks = [
        block
        for name, rows in (("Training", findings.training), ("After pruning", findings.pruning_curve))
        if rows
        for block in (_curves(rows, name),)
    ]
    told = side_by_side(blocks) if blocks else not_measured("Training curves")
    return Section("Training", [told, details("The parameters of this run", [_params(findings.params)])])


def pruning_section(findings: Findings) -> Section:
    """What was removed, and whether it paid."""
    title = "Pruning"
    if not findings.pruning:
        return Section(title, [not_measured("Pruning")])
    return Section(title, [*_before_and_after(findings.pruning), *_values(findings.pruning, "Of the prune")])


def quantisation_section(findings: Findings) -> Section:
    """The form that ships, and the error of each layer."""
    title = "Quantisation"
    if not findings.quantisation and not findings.layers:
        return Section(title, [not_measured("Errors of quantisation")])
    blocks = [*_before_and_after(findings.quantisation), *_values(findings.quantisation, "Of the quantised file")]
    if findings.layers:
        blocks += [details(f"All {len(findings.layers)} layers", [_layers(findings.layers)])]
    return Section(title, blocks)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested names joined by dots; lists as words."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = _text(value)
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return "none" if value is None else str(value)


def _before_and_after(document: Mapping[str, Any]) -> list[Markup]:
    """Pairs of before and after, where a document has them."""
    rows = []
    for name, value in document.items():
        if isinstance(value, Mapping) and {"before", "after"} <= set(value):
            before, after = value["before"], value["after"]
            share = f"{100 * (after - before) / before:+.1f} %" if before else ""
            rows.append([_words(name), _counted(before), _counted(after), share])
    return [table(["", "before", "after", "change"], rows, "Before and after")] if rows else []


def _values(document: Mapping[str, Any], caption: str) -> list[Markup]:
    rest = {
        name: value
        for name, value in document.items()
        if not (isinstance(value, Mapping) and {"before", "after"} <= set(value))
    }
    rows = [[_words(name), value] for name, value in flat(rest).items()]
    return [table(["", ""], rows, caption, words=(1,))] if rows else []


def _counted(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", ": ")


def _curves(rows: Sequence[Row], name: str) -> Markup:
    shown = [column for column in ("loss", "val_loss") if column in rows[0]]
    epochs = [value_of(row, "epoch") or 0 for row in rows]
    series = [
        plots.Line({"loss": "training", "val_loss": "validation"}[column], epochs, _column(rows, column))
        for column in shown
    ]
    last = "; ".join(f"{line.name} loss from {line.y[0]:.3f} to {line.y[-1]:.3f}" for line in series)
    svg = plots.lines(series, "epoch", "loss", f"{name}: {last}", markers=len(rows) < 20)
    return figure(svg, f"{name}: loss by epoch; the epoch of the lowest validation loss is kept")


def _column(rows: Sequence[Row], column: str) -> list[float]:
    return [value_of(row, column) or 0.0 for row in rows]


def _layers(rows: Sequence[Row]) -> Markup:
    columns = list(rows[0])
    return table(
        [_words(column) for column in columns], [[row[column] for column in columns] for row in rows], "Layers"
    )


def _params(params: Mapping[str, Any]) -> Markup:
    sections = {name: params[name] for name in ("prepare", "augment", "train", "prune", "quantise") if name in params}
    return table(
        ["parameter", "value"], [[name, value] for name, value in flat(sections).items()], "params.yaml", words=(1,)
    )
