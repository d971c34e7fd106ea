"""How often different images of real smears pass for duplicates, and how often copies of one are found.

    python -m bench.false_alarms [--figure docs/reference/duplicates.png]

Needs HEMALOOP_TEST_DATA. Which images show the same field, photographed again, no file says: two images do whose
larger parts, shifted by up to an eighth, correlate above 0.9. On these sets that is no matter of the threshold:
different fields reach 0.83, the same field 0.93.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from hemaloop.errors import ConfigError
from hemaloop.imaging.decode import Image, decode, encode_jpeg
from hemaloop.imaging.fingerprint import distance, distances, numbers
from hemaloop.imaging.measure import Measures, measure
from hemaloop.ingest.duplicates import CONFIRMED_BITS, confirms

SETS = ("all-taleqani", "bccd-fields", "pbc-barcelona")
LIMITS = (0, 2, 4, 6, 8, 10)  # bits of 64
IN_USE = 6  # ingest.near_duplicate_bits
SAME_FIELD = 0.9  # correlation
NEIGHBOURS = 3  # numbers apart in one folder
COPIED = 100  # images of each set
MANY = 100_000  # images, for which false pairs are foretold

COPIES: dict[str, Callable[[Image], Image]] = {
    "JPEG quality 60": lambda image: image,
    "half the size": lambda image: _scaled(image, 0.5),
    "three quarters": lambda image: _scaled(image, 0.75),
    "15 % darker": lambda image: cv2.convertScaleAbs(image, alpha=0.85),
    "10 % brighter": lambda image: cv2.convertScaleAbs(image, alpha=1.1),
    "1 % cut off each side": lambda image: _cropped(image, 0.01),
}


@dataclass(frozen=True)
class Pair:
    """Two files of one set with different bytes, near each other."""

    apart: int  # of 64 bits
    fine: int  # of 192
    same_field: bool
    confirmed: bool
    neighbours: bool


@dataclass(frozen=True)
class Found:
    """One set of images."""

    name: str
    images: int
    pairs: int  # with different bytes
    neighbours: int  # of those, numbered at most NEIGHBOURS apart
    near: tuple[Pair, ...]  # within the largest of LIMITS
    copies: dict[str, list[tuple[int, int, bool]]]  # kind -> (bits of 64, of 192, confirmed), each image's copy

    def count(self, limit: int, same_field: bool, confirmed: bool = False) -> int:
        return sum(
            pair.apart <= limit and pair.same_field == same_field and pair.confirmed >= confirmed for pair in self.near
        )


def find(folder: Path, name: str) -> Found:
    paths = sorted(path for path in (folder / name).rglob("*") if path.suffix in (".jpg", ".png"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        measured = list(pool.map(lambda path: measure(path.read_bytes()), paths))
        every = max(1, len(paths) // COPIED)
        copied = list(pool.map(_copies, paths[::every], measured[::every]))
    near, pairs, neighbours = [], 0, 0
    for first, second, apart, close in _pairs(paths, measured):
        pairs += len(second)
        neighbours += int(close.sum())
        for place in np.flatnonzero(apart <= LIMITS[-1]).tolist():
            other = int(second[place])
            near.append(_pair(paths, measured, first, other, int(apart[place]), bool(close[place])))
    copies = {kind: [each[kind] for each in copied] for kind in COPIES}
    return Found(name, len(paths), pairs, neighbours, tuple(near), copies)


def _pairs(
    paths: Sequence[Path], measured: Sequence[Measures]
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.uint8], NDArray[np.bool_]]]:
    """Of each image those after it with other bytes, their distances, and which of them are its neighbours."""
    hashes = numbers([found.phash for found in measured])
    content = np.array([found.sha256 for found in measured])
    folders = np.array([str(path.parent) for path in paths])
    numbered = np.array([int("0" + "".join(filter(str.isdigit, path.stem))) for path in paths])
    for first in range(len(paths)):
        second = first + 1 + np.flatnonzero(content[first + 1 :] != content[first])
        close = (folders[second] == folders[first]) & (abs(numbered[second] - numbered[first]) <= NEIGHBOURS)
        yield first, second, distances(hashes[first], hashes[second]), close


def _pair(
    paths: Sequence[Path], measured: Sequence[Measures], first: int, second: int, apart: int, neighbours: bool
) -> Pair:
    one, other = measured[first].phash_fine, measured[second].phash_fine
    same = _correlation(_small(paths[first]), _small(paths[second])) > SAME_FIELD
    return Pair(apart, distance(one, other), same, confirms(one, other), neighbours)


def _small(path: Path) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(decode(path.read_bytes()), cv2.COLOR_RGB2GRAY)
    found: NDArray[np.uint8] = cv2.resize(grey, (128, 128), interpolation=cv2.INTER_AREA)
    return found


def _correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Of the middle of one with wherever it fits best in the other, -1 to 1."""
    return float(cv2.matchTemplate(one, other[16:112, 16:112], cv2.TM_CCOEFF_NORMED).max())


def _copies(path: Path, original: Measures) -> dict[str, tuple[int, int, bool]]:
    image, found = decode(path.read_bytes()), {}
    for kind, change in COPIES.items():
        copy = measure(encode_jpeg(change(image), 60 if "quality" in kind else 85))
        fine = distance(original.phash_fine, copy.phash_fine)
        found[kind] = (distance(original.phash, copy.phash), fine, confirms(original.phash_fine, copy.phash_fine))
    return found


def _scaled(image: Image, scale: float) -> Image:
    found: Image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return found


def _cropped(image: Image, share: float) -> Image:
    height, width = (round(side * share) for side in image.shape[:2])
    return np.ascontiguousarray(image[height:-height, width:-width])


def interval(count: int, of: int) -> tuple[float, float]:
    """95 % of a proportion; pairs share images, so in truth it is a little wider.

    Source: the score interval, Wilson 1927, JASA 22:209.
    """
    z, share = 1.96, count / of
    middle = share + z * z / (2 * of)
    half = z * float(np.sqrt(share * (1 - share) / of + z * z / (4 * of * of)))
    return (middle - half) / (1 + z * z / of) if count else 0.0, (middle + half) / (1 + z * z / of)


def false_alarms(found: Sequence[Found]) -> Table:
    title = f"Pairs of different fields that pass for duplicates (confirmed: at most {CONFIRMED_BITS} of 192 bits, too)"
    table = Table(
        "set", "bits", "pairs", "same field again", "of them confirmed", "different", "rate (95 % interval)",
        f"that is, of {MANY:,}", "confirmed", title=title,
    )  # fmt: skip
    for each in found:
        for limit in LIMITS:
            wrong, right = each.count(limit, False), each.count(limit, True)
            low, high = interval(wrong, each.pairs)
            rate = f"{wrong / each.pairs:.1e} ({low:.0e} to {high:.0e})"
            foretold = " to ".join(f"{share * MANY * (MANY - 1) / 2:,.0f}" for share in (low, high))
            told = (str(right), str(each.count(limit, True, True)), str(wrong), rate, foretold)
            table.add_row(each.name, str(limit), f"{each.pairs:,}", *told, str(each.count(limit, False, True)))
    return table


def neighbours(found: Sequence[Found]) -> Table:
    """The pairs that a device really makes: one field after the other, of one slide."""
    table = Table(
        "set", "bits", "pairs", "same field again", "different", "95 % interval", title="Neighbours in a folder"
    )
    for each in found:
        near = [pair for pair in each.near if pair.neighbours and pair.apart <= IN_USE]
        wrong = sum(not pair.same_field for pair in near)
        if each.neighbours:
            low, high = interval(wrong, each.neighbours)
            told = (str(len(near) - wrong), str(wrong), f"{low:.0e} to {high:.0e}")
            table.add_row(each.name, str(IN_USE), f"{each.neighbours:,}", *told)
    return table


def hits(found: Sequence[Found]) -> Table:
    table = Table("copy", *(each.name for each in found), title=f"Copies found: within {IN_USE} bits and confirmed")
    for kind in COPIES:
        shares = []
        for each in found:
            good = sum(apart <= IN_USE and confirmed for apart, _, confirmed in each.copies[kind])
            low, high = interval(good, len(each.copies[kind]))
            shares.append(f"{good / len(each.copies[kind]):.0%} ({low:.0%} to {high:.0%})")
        table.add_row(kind, *shares)
    return table


def draw(found: Sequence[Found], path: Path) -> None:
    """Both distances of every near pair, and of every copy: what the second one tells apart."""
    rng = np.random.default_rng(0)
    kinds: dict[str, list[tuple[int, int]]] = {"copies": [], "same field again": [], "different fields": []}
    for each in found:
        kinds["copies"] += [(apart, fine) for copies in each.copies.values() for apart, fine, _ in copies]
        for pair in each.near:
            kinds["same field again" if pair.same_field else "different fields"].append((pair.apart, pair.fine))
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for (kind, points), marker, colour in zip(kinds.items(), "o^x", ("#9ecae1", "#08519c", "#d62728"), strict=True):
        spread = np.array(points) + rng.uniform(-0.6, 0.6, (len(points), 2))
        axes.scatter(
            spread[:, 0],
            spread[:, 1],
            s=12,
            marker=marker,
            color=colour,
            label=f"{kind} ({len(points):,})",
            linewidths=0.8,
        )
    axes.axhline(CONFIRMED_BITS, color="black", linewidth=0.8, linestyle="--")
    axes.axvline(IN_USE + 1, color="black", linewidth=0.8, linestyle="--")
    axes.set(xlabel="bits of 64 that differ", ylabel="bits of 192 that differ", title="Near pairs of real smears")
    axes.legend(loc="upper left", fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, help="draw both distances of every near pair, too")
    arguments = parser.parse_args()
    folder = os.environ.get("HEMALOOP_TEST_DATA")
    if not folder:
        raise ConfigError("HEMALOOP_TEST_DATA is not set: false alarms are measured on real images alone")
    found = [find(Path(folder), name) for name in SETS]
    console = Console(width=150)
    console.print(false_alarms(found), neighbours(found), hits(found), sep="\n")
    if arguments.figure:
        draw(found, arguments.figure)


if __name__ == "__main__":
    main()
