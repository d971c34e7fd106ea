"""How the model was made: images, training, pruning, quantisation."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hemaloop.model.report import plots
from hemaloop.model.report.blocks import NOT_MEASURED, details, figure, not_measured, paragraph, side_by_side, table
from hemaloop.model.report.findings import Document, Findings, Row, value_of
from hemaloop.model.report.page import Section
from hemaloop.model.report.words import pruning_words, section_words

_CHANGE = ["", "before", "after", "change"]
SIDES = ("train", "validation", "test")
LAYERS = 10  # of the report of quantisation that are shown at once


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
    title, found = "Pruning", findings.pruning
    if not found:
        return Section(title, [not_measured("Pruning")])
    rows = [_change(name, found[name]) for name in ("parameters", "channels") if name in found]
    blocks = [
        paragraph(pruning_words(findings), "lead"),
        table(_CHANGE, rows, f"Method: {found.get('method', 'channels')}"),
    ]
    if "validation_macro_sensitivity" in found:
        before, after = (found["validation_macro_sensitivity"][name] for name in ("original", "pruned"))
        told = f"Macro sensitivity on the validation side: {before:.3f} before, {after:.3f} after, Delta P"
        blocks.append(paragraph(f"{told} {found['delta_p']:.3f}."))
    if "magnitude" in found:
        blocks.append(paragraph(f"Of single weights: {section_words(found['magnitude'])}."))
    if "layers" in found:
        layers = [_change(name, counts) for name, counts in found["layers"].items()]
        blocks.append(details(f"All {len(layers)} layers", [table(_CHANGE, layers, "Channels of each layer")]))
    return Section(title, blocks)


def quantisation_section(findings: Findings) -> Section:
    """The form that ships, what it lost, and the error of each layer."""
    title, found = "Quantisation", findings.quantisation
    if not found and not findings.layers:
        return Section(title, [not_measured("Errors of quantisation")])
    blocks = [paragraph(_form(found), "lead")] if "form" in found else []
    if found.get("kept_finer"):
        blocks.append(paragraph(f"Kept in float, the most sensitive first: {', '.join(found['kept_finer'])}."))
    if found.get("tried"):
        rows = [[str(each["layers"]), f"{each['drop']:.4f}"] for each in found["tried"]]
        blocks.append(
            table(["layers kept in float", "drop of macro sensitivity"], rows, "Tried on the validation side")
        )
    if findings.layers:
        worst = sorted(findings.layers, key=lambda row: -(value_of(row, "rmse_over_scale") or 0.0))[:LAYERS]
        blocks.append(_layers(worst, f"The {len(worst)} layers of the largest error, in steps of their own scale"))
        blocks.append(details(f"All {len(findings.layers)} layers", [_layers(findings.layers, "In their order")]))
    return Section(title, blocks)


def _form(found: Document) -> str:
    drop, within = found.get("validation_drop"), found.get("within_allowed_drop")
    if drop is None:
        return f"Ships as {found['form']}."
    verdict = "as little as was allowed" if within else "more than was allowed"
    return f"Ships as {found['form']}; on the validation side it costs {drop:.4f} of macro sensitivity, {verdict}."


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


def _change(name: str, counts: Document) -> list[str]:
    before, after = counts["before"], counts["after"]
    share = f"{100 * (after - before) / before:+.1f} %" if before else ""
    return [name, f"{before:,}", f"{after:,}", share]


def _curves(rows: Sequence[Row], name: str) -> Markup:
    shown = [column for column in ("loss", "val_loss") if column in rows[0]]
    epochs = [value_of(row, "epoch") or 0 for row in rows]
    series = [
        plots.Line({"loss": "training", "val_loss": "validation"}[column], epochs, _column(rows, column))
        for column in shown
    ]
    last = "; ".join(f"{line.name} loss from {line.y[0]:.3f} to {line.y[-1]:.3f}" for line in series)
    svg = plots.lines(series, "epoch", "loss", f"{name}: {last}", markers=len(rows) < 20)
    caption = f"{name}: loss by epoch{_phases(rows)}; the epoch of the lowest validation loss is kept"
    return figure(svg, caption)


def _phases(rows: Sequence[Row]) -> str:
    """Where one phase follows another, whose losses do not compare: the later ones see augmented images."""
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row.get("phase", ""), row["epoch"])
    return (
        " (" + ", ".join(f"{phase} from epoch {epoch}" for phase, epoch in first.items()) + ")"
        if len(first) > 1
        else ""
    )


def _column(rows: Sequence[Row], column: str) -> list[float]:
    return [value_of(row, column) or 0.0 for row in rows]


def _layers(rows: Sequence[Row], caption: str) -> Markup:
    shown = [
        [
            row["layer"],
            row["operation"],
            _rounded(row, "scale"),
            _rounded(row, "rmse_over_scale"),
            _rounded(row, "sqnr_db"),
        ]
        for row in rows
    ]
    head = ["layer", "operation", "scale", "error in steps (RMSE / scale)", "signal to noise, dB"]
    return table(head, shown, caption, words=(1,))


def _rounded(row: Row, name: str) -> str:
    value = value_of(row, name)
    return NOT_MEASURED if value is None else f"{value:.3g}"


def _params(params: Mapping[str, Any]) -> Markup:
    sections = {name: params[name] for name in ("prepare", "augment", "train", "prune", "quantise") if name in params}
    return table(
        ["parameter", "value"], [[name, value] for name, value in flat(sections).items()], "params.yaml", words=(1,)
    )
