"""Test images that the shipped file knew, and those that it was surest of and wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hemaloop.imaging.decode import Image
from hemaloop.model.report.blocks import Picture, gallery, not_measured, paragraph
from hemaloop.model.report.findings import Answered, Findings
from hemaloop.model.report.page import BAD, GOOD, Section
from hemaloop.model.report.pictures import Map, data_address, overlay, where

SHOWN = 8  # of each kind, at most


@dataclass(frozen=True)
class Explained:
    """A test image with what spoke for its answer."""

    answer: Answered
    pixels: Image  # RGB (S, S, 3) as the model saw it
    strengths: Map | None  # (h, w) in [0, 1]; None: the network keeps no places


@dataclass(frozen=True)
class Examples:
    best: tuple[Explained, ...]
    worst: tuple[Explained, ...]
    method: str  # of the maps; "" where there is none


# SHA-256 of test images and the classes to explain -> pixels and maps, in the same order, and the method.
Explain = Callable[[Sequence[Answered]], tuple[Sequence[Image], Sequence[Map | None], str]]


def choose_best(answers: Sequence[Answered], classes: Sequence[str]) -> tuple[Answered, ...]:
    """The surest right answer of each class, the classes in their order; then the second of each, up to `SHOWN`."""
    of_class = [
        sorted((each for each in answers if each.right and each.actual == label), key=_surest) for label in classes
    ]
    longest = max(map(len, of_class), default=0)
    turns = [queue[turn] for turn in range(longest) for queue in of_class if turn < len(queue)]
    return tuple(turns[:SHOWN])


def choose_worst(answers: Sequence[Answered]) -> tuple[Answered, ...]:
    """The wrong answers that it was surest of, those first."""
    return tuple(sorted((each for each in answers if not each.right), key=_surest)[:SHOWN])


def examples_section(findings: Findings, examples: Examples) -> Section:
    """Pictures with what the network saw in them."""
    title = "Best and worst test images"
    if not findings.answers:
        return Section(title, [not_measured("Answers to single images")])
    wrong = sum(not each.right for each in findings.answers)
    blocks = [paragraph(_told(examples.method))]
    if examples.worst:
        caption = f"Wrong and sure of it: {len(examples.worst)} of {wrong} wrong answers, the surest first"
        blocks.append(gallery([_picture(each) for each in examples.worst], caption))
    else:
        blocks.append(paragraph(f"No wrong answer on {len(findings.answers)} test images.", "good"))
    if examples.best:
        blocks.append(
            gallery([_picture(each) for each in examples.best], "Right and sure of it, the classes taking turns")
        )
    return Section(title, blocks)


def _told(method: str) -> str:
    if not method:
        return "The network keeps no places that a map could show: the images stand alone."
    return (
        f"Left the image as the model sees it, right its {method} for the class that was answered: bright where the "
        "network found it. The answers are the shipped file's; the maps are the pruned Keras model's that the file "
        "was made from, since an integer file gives no activations. A map shows where, not why, and a bright "
        "background or edge is a warning."
    )


def _picture(explained: Explained) -> Picture:
    answer, short = explained.answer, explained.answer.sha256[:8]
    alt = f"Test image {short}, {answer.actual}"
    marked = explained.strengths is not None
    return Picture(
        source=data_address(explained.pixels),
        alt=alt,
        title=answer.actual if answer.right else f"{answer.actual}, taken for {answer.predicted}",
        note=f"confidence {answer.confidence:.3f} · {short}",
        second="" if explained.strengths is None else data_address(overlay(explained.pixels, explained.strengths)),
        second_alt=f"The same image, brightest in the {where(np.asarray(explained.strengths))}" if marked else "",
        tone=GOOD if answer.right else BAD,
    )


def _surest(answer: Answered) -> tuple[float, str]:
    return -answer.confidence, answer.sha256
