"""The facts of the model card, from what the report found: the two areas do not know each other."""

from collections.abc import Sequence
from typing import Any

from hemaloop.model.evaluation.bootstrap import Figure
from hemaloop.model.report.findings import FLOAT, SHIPPED, Findings, Origin, Rule, figure_in
from hemaloop.model.report.limits import known_groups, limits
from hemaloop.model.report.quality import FIGURES
from hemaloop.model.report.words import (
    gate_words,
    network_words,
    plain,
    preprocessing_words,
    pruning_words,
    section_words,
    strangers_words,
    threshold_words,
)
from hemaloop.registry.card import Estimate, Facts, SideCounts

TRAINED_BY = ("weights", "head_epochs", "head_learning_rate", "epochs", "learning_rate", "batch_images", "seed")
MACRO = "macro_sensitivity"


def facts_of(findings: Findings, rules: Sequence[Rule], origin: Origin) -> Facts:
    """What the cards are filled with; "not measured" where a file is not there."""
    params, dataset = findings.params, findings.dataset
    float_bytes = findings.figure(FLOAT, "bytes").value
    return Facts(
        hemaloop=origin.hemaloop,
        commit=origin.commit,
        sha256=findings.sha256,
        bytes=int(findings.figure(SHIPPED, "bytes").value or 0),
        float_bytes=None if float_bytes is None else int(float_bytes),
        classes=findings.classes,
        preprocessing=preprocessing_words(findings),
        network=network_words(findings),
        scaling=str(params.get("prepare", {}).get("scaling", "minus_one_one")).replace("_", " "),
        form=str(findings.quantisation.get("form", "int8")),
        augmentation=section_words(params.get("augment", {})),
        training=section_words(params.get("train", {}), TRAINED_BY),
        pruning=_pruning(findings),
        imbalance="Every class weighs the same in the loss, by weights; probabilities are not corrected back.",
        sides=_sides(dataset),
        groups=dataset.get("groups"),
        excluded=dataset.get("excluded", 0),
        unlabelled=dataset.get("unlabelled", 0),
        dates=_dates(findings),
        test_groups=_test_groups(findings),
        figures=_figures(findings, SHIPPED),
        parent=_figures(findings, FLOAT),
        by_class=tuple(_estimate(row["label"], figure_in(row, "sensitivity")) for row in findings.class_scores),
        subgroups=tuple(
            _estimate(f"{row['kind']} {row['name'] or 'not recorded'} ({row['images']} images)", figure_in(row, MACRO))
            for row in findings.subgroups
        ),
        elsewhere=_elsewhere(findings.examination),
        times_as_fast=findings.latency_ratio(SHIPPED),
        threshold=threshold_words(findings),
        strangers=strangers_words(findings),
        updating=_updating(findings),
        gate=gate_words(rules),
        limits=limits(findings),
    )


def _estimate(name: str, figure: Figure) -> Estimate:
    return Estimate(name, figure.value, figure.low, figure.high)


def _figures(findings: Findings, file: str) -> tuple[Estimate, ...]:
    return tuple(_estimate(text, findings.figure(file, name)) for name, text in FIGURES.items())


def _sides(dataset: Any) -> tuple[SideCounts, ...]:
    return tuple(SideCounts(label, **sides) for label, sides in dataset.get("classes", {}).items())


def _dates(findings: Findings) -> str:
    if findings.captured is None:
        return "Dates: not measured."
    first, last = findings.captured
    return f"Images captured from {first} to {last}, by the devices' clocks."


def _test_groups(findings: Findings) -> str:
    kinds = known_groups(findings)
    named = f"{kinds['patient']} patients, {kinds['slide']} slides, {kinds['other']} of neither"
    return f"{len(findings.answers)} test images of {kinds.total()} groups: {named}."


def _pruning(findings: Findings) -> str:
    found = findings.pruning
    if not found:
        return "not measured"
    parameters = found.get("parameters")
    change = f", {parameters['before']} parameters to {parameters['after']}" if parameters else ""
    delta = f", Delta P {found['delta_p']:g} on the validation side" if "delta_p" in found else ""
    return f"{found.get('method', 'channels')}{change}{delta}. {pruning_words(findings)}".removesuffix(".")


def _updating(findings: Findings) -> str:
    temperature = findings.examination.get("calibration", {}).get("temperature")
    if temperature is None:
        return "No recalibration is recorded."
    return (
        f"Recalibrated on the validation side by one temperature, {temperature:.3f}, in the last layer; nothing else."
    )


def _elsewhere(examination: Any) -> tuple[Estimate, ...]:
    shortcut, shifts = examination.get("shortcut", {}), examination.get("laboratories", {}).get("shifts", {})
    named = {"model_on_grey": "without colour", "model_on_restained": "under another stain"}
    return (
        *(_estimate(text, figure_in(shortcut[name], MACRO)) for name, text in named.items() if name in shortcut),
        *(_estimate(f"simulated laboratory: {plain(name)}", figure_in(each, MACRO)) for name, each in shifts.items()),
    )
