"""hemaloop score: how good a model is on labelled images, of another laboratory for example."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hemaloop.inference.classifier import Classifier
    from hemaloop.inference.labelled import LabelledImage
    from hemaloop.model.evaluation.bootstrap import Figure
    from hemaloop.model.evaluation.figures import Answers
    from hemaloop.model.evaluation.scoring import Scores

ROUNDS, SEED = 1000, 7
OF_CLASSES = ("sensitivity", "precision")  # as a table; --json has all


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("score", help="how good a model is on labelled images")
    parser.add_argument("folder", type=Path, help="<class>/*.jpg, or <slide>/<class>/*.jpg where slides are known")
    parser.add_argument("--model", type=Path, metavar="FILE", help="a .tflite (default: the champion in MLflow)")
    parser.add_argument("--um-per-px", type=float, metavar="NUMBER", help="micrometres per pixel, where known")
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from hemaloop.commands.classify import chosen_model
    from hemaloop.errors import ConfigError
    from hemaloop.inference.classifier import Classifier
    from hemaloop.inference.labelled import labelled_images
    from hemaloop.model.evaluation.scoring import score

    if not args.folder.is_dir():
        raise ConfigError(f"{args.folder} is no folder")
    name, model = chosen_model(args.model)
    classifier = Classifier(model)
    classes = classifier.metadata.classes
    images = labelled_images(args.folder, classes)
    answers, failed = _ask(classifier, images, args.um_per_px)
    scores = score(answers, classes, ROUNDS, SEED)
    slides = all(image.slide for image in images)
    _print_json(name, answers, scores, slides) if args.json else _print_tables(name, answers, scores, slides)
    for line in failed:
        print(f"hemaloop: {line}", file=sys.stderr)
    return 3 if failed else 0


def _ask(
    classifier: "Classifier", images: "tuple[LabelledImage, ...]", um_per_px: float | None
) -> "tuple[Answers, list[str]]":
    """What the model answers, and which images it could not."""
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from hemaloop.errors import DataError
    from hemaloop.model.evaluation.figures import Answers

    classes = classifier.metadata.classes
    labels, found, groups, failed = [], [], [], []
    for image in track(images, "images", console=Console(stderr=True), transient=True):
        try:
            answer = classifier.classify(image.path.read_bytes(), um_per_px)
        except (DataError, OSError) as error:
            failed.append(f"{image.path}: {error}")
            continue
        labels.append(classes.index(image.label))
        found.append([answer.probabilities[name] for name in classes])
        groups.append(image.slide or str(image.path))
    if not found:
        raise DataError(f"none of {len(images)} images could be read: {failed[0]}")
    return Answers(np.array(labels), np.array(found, np.float32), tuple(groups)), failed


def _print_json(name: str, answers: "Answers", scores: "Scores", slides: bool) -> None:
    from hemaloop.model.evaluation.scoring import flat

    of_classes = {each.label: {"images": each.images, **flat(each.figures)} for each in scores.by_class}
    told: dict[str, Any] = {
        "model": name,
        "images": scores.images,
        "groups": scores.groups,
        "groups_are": "slides" if slides else "images",
        **flat(scores.figures),
        "classes": of_classes,
        "confusion": _confusion(answers),
    }
    print(json.dumps(told, indent=2))


def _print_tables(name: str, answers: "Answers", scores: "Scores", slides: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("class", "images", *OF_CLASSES, "answered", title=f"{name} on {scores.images} images")
    for each, row in zip(scores.by_class, _confusion(answers), strict=True):
        figures = (_told(each.figures[figure]) for figure in OF_CLASSES)
        told = ", ".join(f"{count} {other.label}" for other, count in zip(scores.by_class, row, strict=True) if count)
        table.add_row(each.label, str(each.images), *figures, told)
    console.print(table)
    for figure in ("macro_sensitivity", "accuracy", "macro_auc", "ece", "brier"):
        console.print(f"{figure}: {_told(scores.figures[figure])}")
    if scores.absent_classes:
        console.print(f"{scores.absent_classes} classes have no image here: nothing above speaks of them")
    if not slides:
        console.print("No slides are known: each image counts as independent, so that the intervals are too narrow")


def _confusion(answers: "Answers") -> list[list[int]]:
    """Images by actual (rows) and answered class."""
    import numpy as np

    from hemaloop.model.evaluation.figures import confusion

    counts: list[list[int]] = confusion(answers, np.ones((len(answers), 1)))[0].astype(int).tolist()
    return counts


def _told(figure: "Figure") -> str:
    if figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
