"""Findings in plain words, for the page and for the model card alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from hemaloop.model.parameters import NO_PRUNING
from hemaloop.model.report.blocks import NOT_MEASURED, percent
from hemaloop.model.report.findings import SHIPPED, Findings, Rule, figure_in

MOBILENETV2 = "mobilenetv2"
LET_THROUGH = 0.2  # share of strange images above which the file's doubt guards nothing


def preprocessing_words(findings: Findings) -> str:
    """The steps from a decoded image to the network's input."""
    steps = [step.name + _settings(step.settings) for step in findings.metadata.steps]
    size_px = findings.metadata.size_px
    return f"{', '.join(steps)}; {size_px} x {size_px} px"


def network_words(findings: Findings) -> str:
    """The network's name, and its width where it has one."""
    train = findings.params.get("train", {})
    name = str(train.get("network", MOBILENETV2))
    return f"{name}, width {train['alpha']:g}" if name == MOBILENETV2 and "alpha" in train else name


def section_words(section: Mapping[str, Any], names: Sequence[str] = ()) -> str:
    """Parameters of a section of params.yaml, all or those named, with their values."""
    shown = {name: section[name] for name in names or section if name in section}
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in shown.items()) or NOT_MEASURED


def gate_words(rules: Sequence[Rule]) -> str:
    """The verdict in a line."""
    if not rules:
        return "Gate: not judged"
    failed = [plain(rule.name) for rule in rules if rule.holds is False]
    if failed:
        return f"Gate refuses: {', '.join(failed)}"
    waiting = any(rule.holds is None for rule in rules)
    return "Gate holds" + (", but for the comparison with the champion" if waiting else "")


def pruning_words(findings: Findings) -> str:
    """What pruning did to the shipped file, beside the unpruned model in the same form, and whether it paid."""
    sizes = findings.quantisation.get("bytes", {})
    times = [findings.latency.get(name, {}).get("latency_ms") for name in ("unpruned", SHIPPED)]
    if findings.pruning.get("method") == NO_PRUNING:
        return "Nothing was pruned."
    if not sizes.get("unpruned") or not all(times):
        return f"Against the unpruned model in the same form: {NOT_MEASURED}."
    size, time = sizes["model"] / sizes["unpruned"], times[1] / times[0]
    told = (
        f"Beside the unpruned model in the same form the shipped file has {size:.2f} times its bytes and takes "
        f"{time:.2f} times its time."
    )
    wanted = float(findings.params.get("gate", {}).get("prune_saves", 0))
    if min(size, time) < 1 and round(1 - min(size, time), 6) >= wanted:
        return told
    missed = f": at least {100 * wanted:g} % of one of the two had to go" if wanted else ""
    return f"{told} The prune did not pay{missed}."


def threshold_words(findings: Findings) -> str:
    """Below which confidence a person is asked, and what that does."""
    chosen = findings.examination.get("abstention")
    if not chosen:
        return f"below which a person is asked: {NOT_MEASURED}."
    threshold, wanted, test = chosen["threshold"], 100 * chosen["wanted_risk"], chosen["test"]
    if threshold is None:
        return f"No confidence keeps the wrong answers at {wanted:g} % on the validation side: always ask a person."
    wrong = "" if test["risk"] is None else f", {percent(figure_in(test, 'risk'))} of them wrongly"
    return (
        f"Answers below a confidence of {threshold:.3f} should go to a person: chosen on the validation side, so that "
        f"at most {wanted:g} % of the others are wrong. On the test side {test['answered']} of {test['images']} images "
        f"are answered{wrong}."
    )


def strangers_words(findings: Findings) -> str:
    """Whether the file's own doubt keeps out images that are none of the classes."""
    found = findings.examination.get("out_of_distribution")
    if not found:
        return f"{NOT_MEASURED}."
    against = found["against"]
    worst = max(against, key=lambda name: against[name]["let_through"])
    share = figure_in(against[worst], "let_through")
    end = (
        "is no guard against images that are none of the classes."
        if (share.value or 0) > LET_THROUGH
        else "keeps most of them out."
    )
    return (
        f"A threshold that lets {100 * found['kept_on_validation']:.0f} % of the validation images through also lets "
        f"through {percent(share)} of the {plain(worst)} images: the file's own doubt {end}"
    )


def plain(name: str) -> str:
    """A name of a file as words."""
    return name.replace("_5", " at strength 5").replace("_", " ").replace("jpeg", "JPEG")


def _settings(settings: Mapping[str, float]) -> str:
    return f" ({', '.join(f'{name} {value:g}' for name, value in settings.items())})" if settings else ""


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
