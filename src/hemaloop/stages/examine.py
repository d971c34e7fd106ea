"""The shipped file beyond its test images -> evaluation/{examination.json, robustness.csv, ...}; no TensorFlow."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.progress import Progress

from hemaloop.config import read_classes, read_params, read_section
from hemaloop.errors import DataError
from hemaloop.imaging.decode import work_in_callers_thread
from hemaloop.imaging.fingerprint import fingerprints
from hemaloop.inference.classifier import Classifier
from hemaloop.model.evaluation import examination
from hemaloop.model.evaluation.abstention import RiskCoverage, risk_coverage, thinned
from hemaloop.model.evaluation.conditions import all_conditions
from hemaloop.model.evaluation.examination import Examined, Section
from hemaloop.model.evaluation.examining import Subject, answer_images, answer_under, choose, read_subject
from hemaloop.model.evaluation.figures import Answers, Labels
from hemaloop.model.evaluation.leakage import Leakage, Seen, find_leakage
from hemaloop.model.evaluation.reliability import ReliabilityBin, reliability
from hemaloop.model.evaluation.shortcut import answer_by_colour, colour_statistics
from hemaloop.model.evaluation.strangers import strangers
from hemaloop.model.evaluation.subgroups import NOT_KNOWN, Subgroup, read_sites, split
from hemaloop.model.parameters import REFUSE, EvaluateParams
from hemaloop.model.prepared import TEST, TRAIN, VALIDATION, PreparedImage, Samples, read_prepared
from hemaloop.model.runtime import held_stderr
from hemaloop.stages.runner import run

EVALUATION = Path("evaluation")
DIGITS = 6  # of figures, as in metrics.json
PAIRS = 5  # of leaked images that are named

Tell = Callable[[], None]


@dataclass(frozen=True)
class Work:
    """What the sections are made from."""

    params: EvaluateParams
    classes: tuple[str, ...]
    sides: Mapping[str, Samples]
    models: tuple[Classifier, ...]  # the shipped file, one for each thread
    parent: Classifier  # the float file
    sites: Mapping[str, str]  # of devices, where params.yaml names them

    def subject(self, image: PreparedImage) -> Subject:
        return Subject(image.sha256, Path(image.image), image.scale)


def main() -> None:
    work_in_callers_thread()
    work = _read()
    leakage = _leakage(work)
    test, validation = (_answers(work.models[0], work.sides[side]) for side in (TEST, VALIDATION))
    examined, chosen = _examine(work)
    found = _split(work, test)
    sections = {
        "leakage": asdict(leakage) | {"pairs": leakage.pairs[:PAIRS]},
        "calibration": examination.calibration(test, validation, _temperature(), work.params.seed),
        "subgroups": examination.subgroups(found, work.params.subgroup_images),
        "robustness": examination.summarise_robustness(examined),
        "laboratories": examination.laboratories(examined),
        "shortcut": _shortcut(work, examined),
        "agreement": examination.agreement(examined, _answers(work.parent, work.sides[TEST], chosen)),
        "abstention": examination.abstention(examined, validation, test, work.params.abstention_risk),
        "out_of_distribution": _out_of_distribution(work, examined, validation),
    }
    _write(sections, examined, found, test)
    _tell(sections)


def _read() -> Work:
    params = read_section(Path("params.yaml"), "evaluate", EvaluateParams)
    classes = read_classes(Path("params.yaml"))
    prepared = read_prepared(Path("data/prepared"))
    sides = {side: prepared.side(side, classes) for side in (TRAIN, VALIDATION, TEST)}
    sites = read_sites(read_params(Path("params.yaml")).get("sites", {}))
    shipped, parent = (Path("models", name).read_bytes() for name in ("model.tflite", "float.tflite"))
    with held_stderr():  # LiteRT says which delegate it chose
        models = tuple(Classifier(shipped) for _ in range(os.cpu_count() or 1))
        return Work(params, classes, sides, models, Classifier(parent), sites)


def _leakage(work: Work) -> Leakage:
    """Raises: DataError: a test image is, or looks like, an image of another side, and that is to be refused."""
    images = [image for side in (TEST, TRAIN, VALIDATION) for image in work.sides[side].images]
    with _progress("compared across sides", len(images)) as tell, ThreadPoolExecutor(os.cpu_count()) as threads:
        seen = list(threads.map(lambda image: _see(work.subject(image), tell), images))
    count = len(work.sides[TEST])
    leakage = find_leakage(seen[:count], seen[count:])
    if leakage.pairs and work.params.leakage == REFUSE:
        test, other = leakage.pairs[0]
        raise DataError(
            f"{leakage.exact} test images are images of another side, and {leakage.near} look like one (the first: "
            f"{test} is as {other}): nothing measured on them is worth anything; link their groups and seal them anew, "
            "or set evaluate.leakage to report"
        )
    return leakage


def _see(subject: Subject, tell: Tell) -> Seen:
    phash, fine = fingerprints(cv2.cvtColor(read_subject(subject), cv2.COLOR_RGB2GRAY))
    tell()
    return Seen(subject.sha256, phash, fine)


def _answers(model: Classifier, samples: Samples, chosen: Labels | None = None) -> Answers:
    """A model's answers to a side, or to some positions of it."""
    positions = np.arange(len(samples)) if chosen is None else chosen
    probabilities = np.concatenate(
        [model.probabilities(samples.take(positions[[place]])) for place in range(len(positions))]
    )
    groups = tuple(samples.images[place].group for place in positions)
    return Answers(samples.labels[positions], probabilities, groups)


def _examine(work: Work) -> tuple[Examined, Labels]:
    """The shipped file under every condition, and which test images it was asked about."""
    test, params = work.sides[TEST], work.params
    chosen = choose(test.labels, [image.group for image in test.images], params.examined_images)
    subjects = [work.subject(test.images[place]) for place in chosen]
    conditions = all_conditions()
    with _progress(f"asked under {len(conditions)} conditions", len(subjects)) as tell:
        probabilities = answer_under(conditions, subjects, work.models, params.seed, tell)
    clean = Answers(test.labels[chosen], probabilities[0], tuple(test.images[place].group for place in chosen))
    return Examined(clean, conditions, probabilities, params.bootstrap_rounds, params.seed), chosen


def _split(work: Work, test: Answers) -> tuple[Subgroup, ...]:
    images = work.sides[TEST].images
    kinds = {"device": [image.device for image in images], "stain": [image.stain for image in images]}
    if work.sites:
        kinds["site"] = [work.sites.get(image.device, NOT_KNOWN) for image in images]
    return split(test, kinds, work.classes, work.params.bootstrap_rounds, work.params.seed)


def _shortcut(work: Work, examined: Examined) -> Section:
    train, test = work.sides[TRAIN], work.sides[TEST]
    colours, asked = (colour_statistics(side.batches(64)) for side in (train, test))
    answers = answer_by_colour(colours, train.labels, asked, len(work.classes))
    groups = tuple(image.group for image in test.images)
    return examination.shortcut(examined, Answers(test.labels, answers, groups), len(train))


def _out_of_distribution(work: Work, examined: Examined, validation: Answers) -> Section:
    strange = {name: answer_images(images, work.models[0]) for name, images in strangers(work.params.seed).items()}
    return examination.out_of_distribution(examined, strange, validation)


def _temperature() -> float | None:
    """What the stage quantise divided the shipped file's logits by; None: a file from before there was one."""
    path = EVALUATION / "quantisation.json"
    found = json.loads(path.read_text()).get("temperature") if path.exists() else None
    return None if found is None else float(found["shipped"])


def _write(sections: Mapping[str, Any], examined: Examined, found: Sequence[Subgroup], test: Answers) -> None:
    (EVALUATION / "examination.json").write_text(json.dumps(_rounded(sections), indent=2) + "\n")
    _write_csv("robustness", *examination.robustness(examined))
    for name, rows, cls in (
        ("subgroups", found, Subgroup),
        ("reliability", reliability(test), ReliabilityBin),
        ("risk_coverage", thinned(risk_coverage(test)), RiskCoverage),
    ):
        _write_csv(name, [field.name for field in fields(cls)], [list(vars(row).values()) for row in rows])


def _write_csv(name: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with (EVALUATION / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(_rounded(rows))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value


@contextmanager
def _progress(what: str, count: int) -> Iterator[Tell]:
    """A bar on stderr where somebody looks at it."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=count)
        yield lambda: progress.advance(task)


def _tell(sections: Mapping[str, Any]) -> None:
    shortcut, labs, leakage = sections["shortcut"], sections["laboratories"], sections["leakage"]
    print(f"examined {labs['images']} test images: macro sensitivity {labs['clean']:.3f}")
    print(
        f"colour alone {shortcut['colour_alone']['macro_sensitivity']:.3f}, without colour "
        f"{shortcut['model_on_grey']['macro_sensitivity']:.3f}, worst laboratory {labs['worst']} "
        f"{-labs['worst_drop_points']:+.1f} points"
    )
    if leakage["exact"] or leakage["near"]:
        print(f"LEAKAGE: {leakage['exact']} test images are on another side too, {leakage['near']} look like one there")


if __name__ == "__main__":
    run(main)
