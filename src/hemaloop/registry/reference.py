"""What a registered model answered on its test images, as evaluation wrote it: answers in the field lie beside it."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import mlflow

from hemaloop.protocol.report import CONFIDENCE_BINS
from hemaloop.registry.versions import connect, read_version

PREDICTIONS = "evaluation/predictions.csv"
_PROBABILITY = "p_"  # how the columns of probabilities begin


@dataclass(frozen=True)
class AnsweredTest:
    """Counts over test images."""

    revision: str  # the dataset revision that made the model
    predicted: dict[str, int]  # by label
    labels: dict[str, int]
    groups: tuple[int, ...]  # images of each group: a patient, a slide
    confidence: tuple[int, ...]  # in each bin of the largest probability


def answered_test(tracking_uri: str, number: int) -> AnsweredTest | None:
    """Those of a version; None where its run kept none. Raises: ConfigError: there is no such version."""
    version = read_version(tracking_uri, number)
    kept = connect(tracking_uri).list_artifacts(version.run_id, str(Path(PREDICTIONS).parent))
    if PREDICTIONS not in {each.path for each in kept}:
        return None
    path = mlflow.artifacts.download_artifacts(artifact_uri=f"runs:/{version.run_id}/{PREDICTIONS}")
    with Path(path).open(newline="") as stream:
        return count_answers(version.revision, list(csv.DictReader(stream)))


def count_answers(revision: str, rows: Iterable[Mapping[str, str]]) -> AnsweredTest:
    """The counts of rows of evaluation/predictions.csv; groups and probabilities may be missing."""
    predicted, labels, groups = Counter[str](), Counter[str](), Counter[str]()
    bins = [0] * CONFIDENCE_BINS
    for row in rows:
        predicted[row["predicted"]] += 1
        labels[row["actual"]] += 1
        groups[row.get("group") or row["sha256"]] += 1
        probabilities = [float(value) for name, value in row.items() if name.startswith(_PROBABILITY)]
        if probabilities:
            bins[min(int(max(probabilities) * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)] += 1
    confidence = tuple(bins) if any(bins) else ()
    return AnsweredTest(revision, dict(predicted), dict(labels), tuple(groups.values()), confidence)
