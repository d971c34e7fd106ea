"""models/*.tflite and the test images -> evaluation/{metrics.json, latency.json, *.csv}; needs no TensorFlow."""

import csv
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemaloop.config import read_classes, read_section
from hemaloop.errors import DataError
from hemaloop.inference.classifier import Classifier
from hemaloop.model.evaluation.figures import BY_CLASS, Answers
from hemaloop.model.evaluation.latency import compare
from hemaloop.model.evaluation.scoring import ClassScore, Scores, flat, score
from hemaloop.model.parameters import EvaluateParams
from hemaloop.model.prepared import TEST, Samples, read_prepared
from hemaloop.model.runtime import held_stderr
from hemaloop.stages.runner import run

FILES = {"float": "float.tflite", "pruned": "pruned.tflite", "int8": "model.tflite"}
SHIPPED = "int8"
UNPRUNED = "unpruned"  # in the shipped form: timed beside the others, so that pruning can be said to pay or not
EVALUATION = Path("evaluation")
DIGITS = 6  # of figures: enough to tell two models apart, few enough to read

Probabilities = npt.NDArray[np.float32]


def main() -> None:
    params = read_section(Path("params.yaml"), "evaluate", EvaluateParams)
    classes = read_classes(Path("params.yaml"))
    prepared = read_prepared(Path("data/prepared"))
    test = prepared.side(TEST, classes)
    contents = {name: Path("models", file).read_bytes() for name, file in FILES.items()}
    with held_stderr():  # LiteRT says which delegate it chose
        models = {name: _load(content, classes, prepared.size_px) for name, content in contents.items()}
    answers = {
        name: np.concatenate([model.probabilities(batch) for batch in test.batches(64)])
        for name, model in models.items()
    }
    EVALUATION.mkdir(exist_ok=True)
    scores = {name: _score(test, answers[name], classes, params) for name in FILES}
    _write_json("metrics", {name: _figures(scores[name]) | {"bytes": len(contents[name])} for name in FILES})
    contents[UNPRUNED] = Path("models", "unpruned.tflite").read_bytes()
    with held_stderr():
        timed = models | {UNPRUNED: _load(contents[UNPRUNED], classes, prepared.size_px)}
    latency = _latency(timed, test, params.latency_runs)
    _write_json("latency", latency)
    _write_answers(test, answers[SHIPPED], classes)
    _write_classes(scores[SHIPPED].by_class)
    _tell(scores[SHIPPED])
    _tell_pruning(contents, latency)


def _load(content: bytes, classes: Sequence[str], size_px: int) -> Classifier:
    model = Classifier(content, threads=1)
    if model.metadata.classes != tuple(classes) or model.metadata.size_px != size_px:
        raise DataError("models/ were made with other classes or another size: run `dvc repro`")
    return model


def _score(test: Samples, probabilities: Probabilities, classes: Sequence[str], params: EvaluateParams) -> Scores:
    answers = Answers(test.labels, probabilities, tuple(image.group for image in test.images))
    return score(answers, classes, params.bootstrap_rounds, params.seed)


def _figures(scores: Scores) -> dict[str, float | None]:
    counts = {name: getattr(scores, name) for name in ("images", "groups", "classes", "absent_classes")}
    return flat(scores.figures) | counts


def _latency(models: Mapping[str, Classifier], test: Samples, runs: int) -> dict[str, dict[str, float]]:
    """Milliseconds per image on this machine, one thread; kept apart, for no other figure differs between machines."""
    image = test.take(np.array([0]))
    calls = {name: partial(model.probabilities, image) for name, model in models.items()}
    return {name: {"latency_ms": value} for name, value in compare(runs, calls).items()}


def _write_json(name: str, figures: dict[str, dict[str, Any]]) -> None:
    rounded = {model: {key: _rounded(value) for key, value in values.items()} for model, values in figures.items()}
    (EVALUATION / f"{name}.json").write_text(json.dumps(rounded, indent=2) + "\n")


def _rounded(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value


def _write_answers(test: Samples, probabilities: Probabilities, classes: Sequence[str]) -> None:
    """What the shipped file said: predictions.csv with all that is known, confusion.csv as `dvc plots` reads it."""
    with (EVALUATION / "predictions.csv").open("w", newline="") as predictions:
        writer = csv.writer(predictions, lineterminator="\n")
        writer.writerow(["sha256", "group", "side", "actual", "predicted", *(f"p_{label}" for label in classes)])
        for image, row in zip(test.images, probabilities, strict=True):
            shares = [f"{value:.{DIGITS}f}" for value in row]
            writer.writerow([image.sha256, image.group, image.side, image.label, classes[int(row.argmax())], *shares])
    with (EVALUATION / "confusion.csv").open("w", newline="") as confusion:
        writer = csv.writer(confusion, lineterminator="\n")
        writer.writerow(["actual", "predicted"])
        for image, row in zip(test.images, probabilities, strict=True):
            writer.writerow([image.label, classes[int(row.argmax())]])


def _write_classes(scores: Sequence[ClassScore]) -> None:
    """Each class against the others: classes.csv, empty where it has no test image."""
    columns = [f"{name}{end}" for name in BY_CLASS for end in ("", "_low", "_high")]
    with (EVALUATION / "classes.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["label", "images", *columns])
        for each in scores:
            figures = flat(each.figures)
            writer.writerow([each.label, each.images, *(_rounded(figures[column]) for column in columns)])


def _tell(scores: Scores) -> None:
    print(f"evaluated on {scores.images} test images of {scores.groups} groups")
    absent = [each.label for each in scores.by_class if each.images == 0]
    if absent:
        print(f"no test image of {', '.join(absent)}: the figures speak of the other classes alone")


def _tell_pruning(contents: Mapping[str, bytes], latency: Mapping[str, Mapping[str, float]]) -> None:
    """What pruning did to the shipped file; the gate refuses a prune that did nothing."""
    size = len(contents[SHIPPED]) / len(contents[UNPRUNED])
    time = latency[SHIPPED]["latency_ms"] / latency[UNPRUNED]["latency_ms"]
    print(f"beside the unpruned model in the same form: {size:.2f} times its bytes, {time:.2f} times its latency")


if __name__ == "__main__":
    run(main)
