"""What was mistaken for what, and how often, each with an interval over groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from hemaloop.model.evaluation.bootstrap import Figure, draw, figure_of
from hemaloop.model.evaluation.figures import Answers, Reals, confusion
from hemaloop.model.report.blocks import paragraph, table, with_interval
from hemaloop.model.report.findings import Answered, Findings

SHOWN = 10  # kinds of mistakes


@dataclass(frozen=True)
class Mistake:
    actual: str
    predicted: str
    images: int
    share: Figure  # of the test images of `actual`; no interval where they are of a single group


def mistakes_table(findings: Findings) -> Markup:
    """The most frequent kinds of wrong answers of the shipped file."""
    found = find_mistakes(findings)
    if not found:
        return paragraph("Nothing was mistaken for anything else.")
    rows = [[each.actual, each.predicted, str(each.images), with_interval(each.share)] for each in found[:SHOWN]]
    more = f", the {SHOWN} most frequent of {len(found)} kinds" if len(found) > SHOWN else ""
    head = ["test images of", "answered as", "images", "share of the class"]
    return table(head, rows, f"What was mistaken for what, with 95 % intervals over groups{more}", words=(1,))


def find_mistakes(findings: Findings) -> list[Mistake]:
    """Each cell beside the confusion matrix's diagonal that holds images, the largest share first."""
    if not findings.answers:
        return []
    answers = _as_answers(findings.answers, findings.classes)
    counts = confusion(answers, np.ones((len(answers), 1)))[0]
    shares = _shares(counts[np.newaxis])[0]
    drawn = _drawn(answers, findings)
    found = [
        Mistake(
            findings.classes[actual],
            findings.classes[predicted],
            int(counts[actual, predicted]),
            figure_of(float(shares[actual, predicted]), _of_cell(drawn, answers, actual, predicted)),
        )
        for actual, predicted in np.argwhere(counts > 0)
        if actual != predicted
    ]
    return sorted(found, key=lambda each: (-(each.share.value or 0.0), each.actual, each.predicted))


def _drawn(answers: Answers, findings: Findings) -> Reals | None:
    """(rounds, classes, classes) shares of the rows; None where params.yaml does not say how to draw."""
    params = findings.params.get("evaluate", {})
    if "bootstrap_rounds" not in params or "seed" not in params:
        return None
    return draw(
        lambda weights: {"shares": _shares(confusion(answers, weights))},
        answers.groups, int(params["bootstrap_rounds"]), int(params["seed"]),
    )["shares"]  # fmt: skip


def _of_cell(drawn: Reals | None, answers: Answers, actual: int, predicted: int) -> Reals | None:
    return None if drawn is None or len(answers.groups_of(actual)) < 2 else drawn[:, actual, predicted]


def _shares(counts: Reals) -> Reals:
    """Of each row, (rounds, classes, classes); NaN where a class was not drawn."""
    whole = counts.sum(axis=2, keepdims=True)
    return np.asarray(np.divide(counts, whole, out=np.full(counts.shape, np.nan), where=whole > 0))


def _as_answers(answers: Sequence[Answered], classes: Sequence[str]) -> Answers:
    """Who was taken for whom; of the probabilities only which is the largest."""
    places = {label: place for place, label in enumerate(classes)}
    actual, predicted = (
        np.array([places[getattr(each, name)] for each in answers], np.intp) for name in ("actual", "predicted")
    )
    return Answers(actual, np.eye(len(classes), dtype=np.float32)[predicted], tuple(each.group for each in answers))
