"""A page of sections under one head, as a single HTML file that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

GOOD, BAD, NEUTRAL = "good", "bad", "neutral"
SYMBOLS = {GOOD: "✓", BAD: "✗", NEUTRAL: "–"}  # a badge is never told by its colour alone


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; text that is no Markup is escaped."""

    title: str
    blocks: Sequence[str]  # paragraphs, tables and figures, as `blocks` makes them

    @property
    def anchor(self) -> str:
        return "-".join("".join(sign if sign.isalnum() else " " for sign in self.title.lower()).split())


@dataclass(frozen=True)
class Badge:
    """A verdict in a word or two."""

    text: str
    tone: str = NEUTRAL  # good, bad or neutral

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.tone]


@dataclass(frozen=True)
class Tile:
    """One of the few figures that the head shows large."""

    name: str
    value: str
    note: str = ""


def render(
    title: str,
    sections: Sequence[Section],
    *,
    subtitle: str = "",
    badge: Badge | None = None,
    tiles: Sequence[Tile] = (),
    facts: Sequence[tuple[str, str]] = (),
    footer: str = "",
) -> str:
    """The whole HTML document.

    Args:
        facts: name and value, in small print under the tiles.
    """
    return (
        environment()
        .get_template("page.html")
        .render(
            title=title,
            sections=sections,
            subtitle=subtitle,
            badge=badge,
            tiles=tiles,
            facts=facts,
            footer=footer,
        )
    )


def fragment(template: str, **values: object) -> Markup:
    """A piece of a page, from a template of this package."""
    return Markup(environment().get_template(template).render(**values))


@cache
def environment() -> Environment:
    """Every value is escaped, and a name that a template lacks is an error, not a gap."""
    return Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
