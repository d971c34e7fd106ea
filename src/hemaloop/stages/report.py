"""All that the other stages measured -> evaluation/{report.html, model-card.md, tripod-ai.md}."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hemaloop
from hemaloop.config import read_classes, read_params, read_section
from hemaloop.files import write_atomically
from hemaloop.model.prepared import TEST, Samples, read_prepared
from hemaloop.model.report.examples import Examples, Explained, choose_best, choose_worst
from hemaloop.model.report.findings import Answered, Findings, Origin, Rule, read_findings
from hemaloop.model.report.limits import limits
from hemaloop.model.report.model_report import write_report
from hemaloop.model.runtime import start_tensorflow
from hemaloop.registry.card import write_card, write_tripod
from hemaloop.registry.gate import GateRules, Verdict, judge
from hemaloop.registry.trained import read_trained
from hemaloop.stages.facts import facts_of
from hemaloop.stages.runner import run

EVALUATION = Path("evaluation")
PARAMS = Path("params.yaml")
CHAMPION_RULE = "drop_from_champion"


def main() -> None:
    classes = read_classes(PARAMS)
    findings = read_findings(Path(), read_params(PARAMS), classes)
    rules = _rules(findings.params)
    origin = Origin(hemaloop.__version__, _commit())
    test = read_prepared(Path("data/prepared")).side(TEST, classes)
    page = write_report(findings, _examples(findings, test), rules, origin)
    facts = facts_of(findings, rules, origin)
    texts = {"report.html": page, "model-card.md": write_card(facts), "tripod-ai.md": write_tripod(facts)}
    for name, text in texts.items():
        write_atomically(EVALUATION / name, text.encode())
    print(f"wrote {EVALUATION}/report.html ({len(page) / 1e6:.1f} MB), model-card.md and tripod-ai.md")
    for limit in limits(findings)[:3]:
        print(f"- {limit}")


def _rules(params: Any) -> tuple[Rule, ...]:
    """The gate's verdicts, but for the comparison with the champion: that is known where a version is registered."""
    if "gate" not in params:
        return ()
    rules = read_section(PARAMS, "gate", GateRules)
    verdicts = judge(read_trained(Path(), revision="").scores(None), rules)
    return tuple(_rule(verdict, rules) for verdict in verdicts)


def _rule(verdict: Verdict, rules: GateRules) -> Rule:
    if verdict.rule == CHAMPION_RULE:
        return Rule(
            verdict.rule, None, "compared when a version is registered", f"at most {rules.drop_from_champion:g}"
        )
    found = "nothing to measure" if verdict.found is None else f"{verdict.found:g}"
    return Rule(verdict.rule, verdict.holds, found, verdict.wanted)


def _examples(findings: Findings, test: Samples) -> Examples:
    """The best and the worst test images, with maps of the model that the shipped file was made from."""
    best, worst = choose_best(findings.answers, findings.classes), choose_worst(findings.answers)
    explained, method = _explain([*best, *worst], test, findings.classes)
    return Examples(explained[: len(best)], explained[len(best) :], method)


def _explain(answers: Sequence[Answered], test: Samples, classes: Sequence[str]) -> tuple[tuple[Explained, ...], str]:
    places = {image.sha256: place for place, image in enumerate(test.images)}
    pixels = test.take(np.array([places[answer.sha256] for answer in answers], np.intp))
    model = Path("models/pruned.keras")
    maps = None
    if answers and model.exists():
        start_tensorflow(seed=0)  # nothing here is drawn by chance
        from hemaloop.model.explanation import explain
        from hemaloop.model.saved import load

        maps = explain(load(model), pixels, np.array([classes.index(answer.predicted) for answer in answers]))
    found = tuple(
        Explained(answer, pixels[place], None if maps is None else maps.values[place])
        for place, answer in enumerate(answers)
    )
    return found, "" if maps is None else _method(maps.method, maps.values.shape)


def _method(name: str, shape: Sequence[int]) -> str:
    return f"{name} ({shape[1]} x {shape[2]} places)"


def _commit() -> str:
    """The commit that the run began on: what it makes is in a later one. "" outside git."""
    asked = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else ""


if __name__ == "__main__":
    run(main)
