"""Plots as inline SVG whose colours and letters are the page's own: they turn dark when the page does."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hemaloop.model.evaluation.bootstrap import Figure as Estimated

# Colours that matplotlib writes and the page replaces by its own variables.
INK, MUTED, LINE = "#010101", "#020202", "#030303"
SERIES = ("#010201", "#010301", "#010401", "#010501", "#010601", "#010701")
VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line"} | {
    colour: f"--s{place}" for place, colour in enumerate(SERIES, start=1)
}
MARKERS = ("o", "s", "^", "D", "v", "P")  # a series is never told by its colour alone
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
WIDTH, HEIGHT = 5.4, 3.3  # inches, of 72 px
SETTINGS: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "hemaloop", "font.family": "sans-serif", "font.size": 9.5,
    "text.color": INK, "axes.labelcolor": MUTED, "xtick.color": LINE, "ytick.color": LINE, "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED, "axes.edgecolor": LINE, "grid.color": LINE, "axes.grid": True, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "lines.linewidth": 1.8,
    "lines.markersize": 4.5, "figure.facecolor": "none", "axes.facecolor": "none",
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """Points to be joined."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()  # of the interval around y, where there is one
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval, on a line of its own."""

    name: str
    figure: Estimated
    series: int = 0  # which colour


def lines(
    series: Sequence[Line],
    x_label: str,
    y_label: str,
    alt: str,
    *,
    y_limits: tuple[float, float] | None = None,
    diagonal: bool = False,
    markers: bool = True,
) -> Markup:
    """Curves over one axis; with `diagonal` also the line x = y, which a calibrated classifier follows."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = _axes(WIDTH, HEIGHT)
        if diagonal:
            axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":", label="perfect")
        for place, line in enumerate(series):
            _curve(axes, line, place, markers)
        axes.set(xlabel=x_label, ylabel=y_label)
        if all(float(value).is_integer() for line in series for value in line.x):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if y_limits:
            axes.set_ylim(*y_limits)
        if len(series) > 1 or diagonal:
            axes.legend(fontsize=8.5)
        return to_svg(figure, alt)


def intervals(estimates: Sequence[Estimate], x_label: str, alt: str, wanted: float | None = None) -> Markup:
    """A dot and a whisker a line, the first on top; `wanted` is a dotted line."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = _axes(WIDTH, 0.75 + 0.28 * len(estimates))
        for place, found in enumerate(reversed(estimates)):
            colour = SERIES[found.series % len(SERIES)]
            low, high = found.figure.low, found.figure.high
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=colour, linewidth=2.4, alpha=0.55)
            if found.figure.value is not None:
                axes.plot(found.figure.value, place, MARKERS[found.series % len(MARKERS)], color=colour, markersize=6.5)
        if wanted is not None:
            axes.axvline(wanted, color=MUTED, linewidth=1, linestyle=":")
        axes.set_yticks(range(len(estimates)), [found.name for found in reversed(estimates)])
        axes.set_ylim(-0.6, len(estimates) - 0.4)
        axes.set_xlabel(x_label)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        return to_svg(figure, alt)


def to_svg(figure: Figure, alt: str) -> Markup:
    """The figure as an SVG element, with its text as text and `alt` for who does not see it."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawn = written.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", drawn, flags=re.DOTALL)
    drawn = re.sub(
        r' id="(figure|axes|matplotlib|patch|line2d|text|xtick|ytick|legend|PathCollection|FillBetween)[^"]*"',
        "",
        drawn,
    )
    for colour, variable in VARIABLES.items():
        drawn = drawn.replace(colour, f"var({variable})")
    drawn = drawn.replace("font-family: sans-serif", "font-family: inherit")
    label = Markup('<svg role="img" aria-label="{}"').format(alt)
    return Markup(drawn.strip().replace("<svg", label, 1))


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _curve(axes: Axes, line: Line, place: int, markers: bool) -> None:
    colour = SERIES[place % len(SERIES)]
    axes.plot(
        line.x,
        line.y,
        color=colour,
        label=line.name,
        linestyle=STYLES[place % len(STYLES)],
        marker=MARKERS[place % len(MARKERS)] if markers else None,
    )
    if len(line.low) and len(line.high):
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
