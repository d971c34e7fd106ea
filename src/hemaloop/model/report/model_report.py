"""The page about one run of the pipeline: what the shipped file is worth, and what it is not."""

from collections.abc import Sequence

from hemaloop.model.report.blocks import bullets, code, number, paragraph, size, table
from hemaloop.model.report.change import (
    laboratories_section,
    robustness_section,
    shortcut_section,
    subgroups_section,
)
from hemaloop.model.report.examples import Examples, examples_section
from hemaloop.model.report.findings import FLOAT, SHIPPED, Findings, Origin, Rule
from hemaloop.model.report.limits import limits
from hemaloop.model.report.making import data_section, pruning_section, quantisation_section, training_section
from hemaloop.model.report.page import BAD, GOOD, NEUTRAL, Badge, Section, Tile, render
from hemaloop.model.report.quality import classes_section, figures_section
from hemaloop.model.report.trust import abstention_section, agreement_section, calibration_section, strangers_section
from hemaloop.model.report.words import gate_words, network_words, preprocessing_words

TITLE = "What this model is worth"


def write_report(findings: Findings, examples: Examples, rules: Sequence[Rule], origin: Origin) -> str:
    """The whole page, one HTML document."""
    return render(
        TITLE,
        [
            _limits_section(findings),
            figures_section(findings),
            classes_section(findings),
            shortcut_section(findings),
            laboratories_section(findings),
            robustness_section(findings),
            subgroups_section(findings),
            calibration_section(findings),
            abstention_section(findings),
            strangers_section(findings),
            examples_section(findings, examples),
            data_section(findings),
            training_section(findings),
            pruning_section(findings),
            quantisation_section(findings),
            agreement_section(findings),
            _gate_section(rules),
        ],
        subtitle=_subtitle(findings),
        badge=_badge(rules),
        tiles=_tiles(findings),
        facts=_facts(findings, origin),
        footer="Made by hemaloop's stage report from the files in evaluation/, models/ and data/prepared. It is no "
        "medical device and has no approval as one.",
    )


def _subtitle(findings: Findings) -> str:
    classes = ", ".join(findings.classes)
    return f"A classifier of blood cells for cheap microscopes: {classes}. All figures are of the file that ships."


def _badge(rules: Sequence[Rule]) -> Badge:
    if not rules:
        return Badge(gate_words(rules), NEUTRAL)
    return Badge(gate_words(rules), BAD if any(rule.holds is False for rule in rules) else GOOD)


def _tiles(findings: Findings) -> list[Tile]:
    main, ece = findings.figure(SHIPPED, "macro_sensitivity"), findings.figure(SHIPPED, "ece")
    images, groups = (findings.figure(SHIPPED, name).value for name in ("images", "groups"))
    ratio = findings.latency_ratio(SHIPPED)
    grey = findings.examination.get("shortcut", {}).get("model_on_grey", {}).get("macro_sensitivity")
    labs = findings.examination.get("laboratories", {})
    interval = "no interval" if main.low is None else f"95 %: {number(main.low)} to {number(main.high)}"
    return [
        Tile("Macro sensitivity", number(main.value), interval),
        Tile("Without colour", number(grey), "the same images in grey"),
        Tile("Worst other laboratory", _drop(labs), "points of macro sensitivity, simulated"),
        Tile("Calibration error", number(ece.value), "ECE; 0 is perfect"),
        Tile("File", _size(findings, SHIPPED), f"float: {_size(findings, FLOAT)}"),
        Tile("Speed", "not measured" if ratio is None else f"{ratio:.1f} x", "of the float file, one thread, same run"),
        Tile("Test images", f"{images or 0:.0f}", f"of {groups or 0:.0f} groups"),
    ]  # fmt: skip


def _size(findings: Findings, file: str) -> str:
    return size(findings.figure(file, "bytes").value)


def _drop(labs: dict[str, float]) -> str:
    return f"{-labs['worst_drop_points']:+.1f}" if labs else "not measured"


def _facts(findings: Findings, origin: Origin) -> list[tuple[str, str]]:
    dataset = findings.dataset
    counts = f"{dataset['images']} images, {dataset['groups']} groups" if dataset else "not measured"
    form = findings.quantisation.get("form", "int8")
    return [
        ("Data set", counts),
        ("Preprocessing", preprocessing_words(findings)),
        ("Network", f"{network_words(findings)}; ships as {form}"),
        ("Run began on commit", code(origin.commit) if origin.commit else "not in git"),
        ("SHA-256 of the file", code(findings.sha256[:16])),
        ("hemaloop", origin.hemaloop),
    ]


def _limits_section(findings: Findings) -> Section:
    return Section("Read this first", [bullets(limits(findings))])


def _gate_section(rules: Sequence[Rule]) -> Section:
    if not rules:
        return Section("Gate", [paragraph("No gate is set in params.yaml: nothing was judged.", "absent")])
    verdicts = {True: "✓ holds", False: "✗ refused", None: "– not judged here"}
    rows = [[_words(rule.name), verdicts[rule.holds], rule.found, rule.wanted] for rule in rules]
    return Section(
        "Gate", [table(["rule", "verdict", "found", "wanted"], rows, "The rules of params.yaml", words=(1, 3))]
    )


def _words(name: str) -> str:
    return name.replace("_", " ")
