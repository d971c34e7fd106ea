"""How good the answers are: the files side by side, each class, and what was mistaken for what."""

from collections.abc import Sequence

from hemaloop.model.report import plots
from hemaloop.model.report.blocks import (
    NOT_MEASURED,
    confusion,
    figure,
    not_measured,
    number,
    paragraph,
    side_by_side,
    size,
    stacked,
    table,
    with_interval,
)
from hemaloop.model.report.findings import NAMES, SHIPPED, Findings, figure_in
from hemaloop.model.report.mistakes import mistakes_table
from hemaloop.model.report.page import Section

FIGURES = {
    "macro_sensitivity": "macro sensitivity",
    "macro_specificity": "macro specificity",
    "macro_precision": "macro precision",
    "macro_f1": "macro F1",
    "macro_auc": "macro AUC",
    "sensitivity_at_95_specificity": "sensitivity at 95 % specificity",
    "accuracy": "accuracy",
    "ece": "calibration error (ECE)",
    "brier": "Brier score",
}
LOWER_IS_BETTER = ("ece", "brier")
OF_CLASS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "F1",
    "auc": "AUC",
    "sensitivity_at_95_specificity": "sens. at 95 % spec.",
}


def figures_section(findings: Findings) -> Section:
    """The float, the pruned and the shipped file on the same test images."""
    files = findings.files
    rows = [[_named(name, text), *(_cell(findings, file, name) for file in files)] for name, text in FIGURES.items()]
    rows.append(["file size", *(size(findings.figure(file, "bytes").value) for file in files)])
    rows.append(["times as fast as the float file", *(_times(findings.latency_ratio(file)) for file in files)])
    estimates = [
        plots.Estimate(NAMES[file], findings.figure(file, "macro_sensitivity"), place)
        for place, file in enumerate(files)
    ]
    return Section(
        "Figures",
        [
            paragraph(
                "Every figure was measured on the same test images, which no stage before had seen. In brackets: the "
                "95 % interval, by a bootstrap that draws whole groups anew.",
            ),
            table(
                ["", *(NAMES[file] for file in files)],
                rows,
                "The three files of this run; what a device gets is the shipped one",
                strong=files.index(SHIPPED) + 1,
            ),
            figure(
                plots.intervals(
                    estimates,
                    "macro sensitivity",
                    "Macro sensitivity and its interval: "
                    + "; ".join(f"{NAMES[file]} {_cell(findings, file, 'macro_sensitivity')}" for file in files),
                ),
                "Macro sensitivity with its 95 % interval, of each file by itself. All answered the same images: "
                "whether two files differ cannot be read from how their intervals overlap.",
            ),
        ],
    )


def classes_section(findings: Findings) -> Section:
    """Each class against the others, and the confusion matrix of the shipped file."""
    title = "Each class"
    if not findings.class_scores:
        return Section(title, [not_measured("Figures by class")])
    rows = findings.class_scores
    columns = [name for name in OF_CLASS if name in rows[0]]
    estimates = [plots.Estimate(row["label"], figure_in(row, "sensitivity")) for row in rows]
    return Section(
        title,
        [
            table(
                ["class", "test images", *(OF_CLASS[name] for name in columns)],
                [[row["label"], row["images"], *(stacked(figure_in(row, name)) for name in columns)] for row in rows],
                "The shipped file, each class against all others",
            ),
            side_by_side(
                [
                    confusion(
                        findings.classes,
                        confusion_counts(findings),
                        "What test images are (rows), and what the shipped file answered; shares of the row",
                    ),
                    figure(
                        plots.intervals(estimates, "sensitivity", _alt(estimates)),
                        "Sensitivity of each class with its 95 % interval, where there is one",
                    ),
                ]
            ),
            mistakes_table(findings),
        ],
    )


def confusion_counts(findings: Findings) -> list[list[int]]:
    """Test images of each actual class (rows) by the answer."""
    places = {label: place for place, label in enumerate(findings.classes)}
    counts = [[0] * len(places) for _ in places]
    for answer in findings.answers:
        counts[places[answer.actual]][places[answer.predicted]] += 1
    return counts


def _named(name: str, text: str) -> str:
    return f"{text}, lower is better" if name in LOWER_IS_BETTER else text


def _cell(findings: Findings, file: str, name: str) -> str:
    return with_interval(findings.figure(file, name))


def _times(ratio: float | None) -> str:
    return NOT_MEASURED if ratio is None else f"{ratio:.2f}"


def _alt(estimates: Sequence[plots.Estimate]) -> str:
    return "Sensitivity: " + "; ".join(f"{each.name} {number(each.figure.value)}" for each in estimates)
