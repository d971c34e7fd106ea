"""Plots of one training run, drawn without a display."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure


def confusion_matrix(confusion: Path, classes: list[str]) -> Figure:
    """Counts of actual (rows) against predicted (columns) classes, from a CSV of `actual,predicted`."""
    pairs = pd.read_csv(confusion)
    table = pd.crosstab(pairs["actual"], pairs["predicted"]).reindex(index=classes, columns=classes, fill_value=0)
    figure = Figure(figsize=(1.2 + 0.9 * len(classes), 1 + 0.8 * len(classes)), layout="constrained")
    axes = figure.subplots()
    counts = table.to_numpy()
    axes.imshow(counts, cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        shade = "white" if count > counts.max() / 2 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=shade)
    axes.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="actual", title="Shipped file, test images")
    return figure


def training_curves(training: Path) -> Figure:
    """Each column of the training log by epoch."""
    log = pd.read_csv(training)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for column in log.select_dtypes("number").columns.drop("epoch", errors="ignore"):
        axes.plot(range(1, len(log) + 1), log[column], label=column)
    axes.set(xlabel="epoch", title="Training")
    axes.legend()
    return figure
