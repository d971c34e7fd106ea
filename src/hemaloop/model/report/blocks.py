"""What stands in a section: paragraphs, tables, figures, pictures. Each is a piece of HTML, its texts escaped."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from hemaloop.model.evaluation.bootstrap import Figure
from hemaloop.model.report.page import fragment

NOT_MEASURED = "not measured"
DIGITS = 3  # of a share


@dataclass(frozen=True)
class Picture:
    """An image with what is said of it."""

    source: str  # a data: address
    alt: str
    title: str
    note: str = ""
    second: str = ""  # a data: address: the same image, explained
    second_alt: str = ""
    tone: str = "neutral"


def paragraph(text: str, kind: str = "") -> Markup:
    """Args: kind: lead, note or warning."""
    return Markup('<p class="{}">{}</p>').format(kind, text) if kind else Markup("<p>{}</p>").format(text)


def bullets(texts: Sequence[str]) -> Markup:
    items = Markup("").join(Markup("<li>{}</li>").format(text) for text in texts)
    return Markup("<ul>{}</ul>").format(items)


def not_measured(what: str) -> Markup:
    """What a section says where its file is not there."""
    return paragraph(f"{what}: {NOT_MEASURED}.", "absent")


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str,
    *,
    words: Sequence[int] = (),
    strong: int | None = None,
) -> Markup:
    """The first column names the row; the others are figures.

    Args:
        words: other columns that hold words, and stand to the left.
        strong: the column that matters most.
    """
    return fragment("table.html", columns=columns, rows=rows, caption=caption, words=words, strong=strong)


def confusion(classes: Sequence[str], counts: Sequence[Sequence[int]], caption: str) -> Markup:
    """Actual classes (rows) against predicted ones, shaded by the share of the row."""
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    return fragment("confusion.html", classes=classes, counts=counts, shares=shares, caption=caption)


def figure(svg: Markup, caption: str, *, wide: bool = False) -> Markup:
    return fragment("figure.html", svg=svg, caption=caption, wide=wide)


def side_by_side(blocks: Sequence[Markup]) -> Markup:
    return Markup('<div class="columns">{}</div>').format(Markup("").join(blocks))


def gallery(pictures: Sequence[Picture], caption: str) -> Markup:
    return fragment("gallery.html", pictures=pictures, caption=caption)


def details(summary: str, blocks: Sequence[Markup]) -> Markup:
    """Folded until somebody opens it; printed open."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, Markup("").join(blocks))


def code(text: str) -> Markup:
    return Markup("<code>{}</code>").format(escape(text))


def number(value: float | None, digits: int = DIGITS) -> str:
    """A figure, or that nobody measured it."""
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"


def with_interval(figure: Figure, digits: int = DIGITS) -> str:
    """A figure and its interval, where there is one."""
    if figure.value is None or figure.low is None or figure.high is None:
        return number(figure.value, digits)
    return f"{figure.value:.{digits}f} ({figure.low:.{digits}f} to {figure.high:.{digits}f})"


def percent(figure: Figure) -> str:
    """A share in percent with its interval, where there is one."""
    if figure.value is None:
        return NOT_MEASURED
    told = f"{100 * figure.value:.1f} %"
    if figure.low is None or figure.high is None:
        return told
    return f"{told} ({100 * figure.low:.1f} to {100 * figure.high:.1f})"


def stacked(figure: Figure, digits: int = DIGITS) -> str:
    """A figure with its interval under it, for tables of many columns."""
    if figure.value is None or figure.low is None or figure.high is None:
        return number(figure.value, digits)
    interval = f"{figure.low:.{digits}f} to {figure.high:.{digits}f}"
    return Markup('{}<small class="interval">{}</small>').format(number(figure.value, digits), interval)


def size(count: float | None) -> str:
    """Bytes, in the unit that the papers use: 1 MB is a million."""
    if count is None:
        return NOT_MEASURED
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
