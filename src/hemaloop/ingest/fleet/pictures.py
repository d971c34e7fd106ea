"""Predicted classes as stacked bars, drawn as SVG: it is small enough to lie in a page."""

import base64
from collections.abc import Sequence
from html import escape

# Okabe and Ito's colours, which the colour-blind can tell apart.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
_NAMES, _BAR, _COUNTS = 220, 480, 90  # widths, px
_ROW, _HEIGHT = 24, 16  # of a row, and of the bar in it, px
_KEY = 30  # height of the key above, px


def shares(bars: Sequence[tuple[str, dict[str, int]]]) -> str:
    """An SVG of bars, each a name and its images by class; the same class has the same colour in all."""
    classes = sorted({label for _, counts in bars for label in counts})
    colours = {label: _COLOURS[place % len(_COLOURS)] for place, label in enumerate(classes)}
    width, height = _NAMES + _BAR + _COUNTS, _KEY + _ROW * len(bars) + 6
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">']
    parts += [f'<rect width="{width}" height="{height}" fill="white"/><g font-size="12">', *_key(colours)]
    for row, (name, counts) in enumerate(bars):
        parts += _bar(_KEY + row * _ROW, name, counts, colours)
    return "".join([*parts, "</g></svg>"])


def data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _key(colours: dict[str, str]) -> list[str]:
    step = (_NAMES + _BAR) / max(1, len(colours))
    parts = []
    for place, (label, colour) in enumerate(colours.items()):
        left = place * step + 6
        parts.append(f'<rect x="{left:.1f}" y="8" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{left + 17:.1f}" y="18">{escape(label)}</text>')
    return parts


def _bar(top: int, name: str, counts: dict[str, int], colours: dict[str, str]) -> list[str]:
    images, left = sum(counts.values()), float(_NAMES)
    parts = [f'<text x="{_NAMES - 8}" y="{top + 13}" text-anchor="end">{escape(name)}</text>']
    for label, colour in colours.items():
        wide = _BAR * counts.get(label, 0) / images if images else 0.0
        if wide:
            place = f'x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{_HEIGHT}"'
            parts.append(f'<rect {place} fill="{colour}"><title>{escape(label)}: {counts[label]}</title></rect>')
        left += wide
    return [*parts, f'<text x="{_NAMES + _BAR + 8}" y="{top + 13}">{images}</text>']
