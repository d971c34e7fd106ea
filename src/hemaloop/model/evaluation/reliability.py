"""What confidences were worth: the bins of the calibration error, for people and plots."""

from dataclasses import dataclass

import numpy as np

from hemaloop.model.evaluation.figures import BINS, Answers, bins_of


@dataclass(frozen=True)
class ReliabilityBin:
    """A row of evaluation/reliability.csv."""

    bin: int  # 1 to 15, in order of confidence
    images: int
    confidence: float  # mean probability of the answer
    accuracy: float  # share of right answers: equal to the confidence in a calibrated model
    lowest: float  # confidence in the bin
    highest: float


def reliability(answers: Answers) -> tuple[ReliabilityBin, ...]:
    """The bins that hold images, as `figures.calibration_error` cuts them."""
    _, run, mass = np.unique(answers.confidence, return_inverse=True, return_counts=True)
    places = bins_of(mass.astype(np.float64)[:, np.newaxis])[:, 0][run]
    rows = []
    for place in range(BINS):
        here = places == place
        if here.any():
            confidence = answers.confidence[here].astype(np.float64)
            accuracy = float(answers.right[here].mean())
            lowest, highest = float(confidence.min()), float(confidence.max())
            rows.append(ReliabilityBin(place + 1, int(here.sum()), float(confidence.mean()), accuracy, lowest, highest))
    return tuple(rows)
