"""Looking for duplicates in a long history against looking in a short one, and settling a whole round.

    python -m bench.duplicates              1,000, 10,000 and 100,000 remembered images
    python -m bench.duplicates --million    1,000,000, too: a minute, and a GB of disk

Hashes as real smears have them are not even: some bits are nearly always the same, so some bands hold many images.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert

from bench.images import fields
from bench.ratio import Ratio
from hemaloop.imaging.fingerprint import numbers
from hemaloop.imaging.measure import Measures, measure
from hemaloop.ingest.claims import claim
from hemaloop.ingest.duplicates import Picture, find_originals, remember
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.settle import settle
from hemaloop.ingest.states import State
from hemaloop.storage import Bucket

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BITS = 6
ROUND = 2000  # uploads that are settled together
SINGLE = 50  # look-ups of one image
AT_ONCE = 50_000  # rows entered at once

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Cost:
    """Seconds with so many images remembered."""

    kind: str  # of hashes
    remembered: int
    single: float  # one image's look-up
    in_round: float  # one image's share of a whole round's look-up
    settled: float  # a whole round


def run() -> list[Ratio]:
    found = [cost for kind in ("even", "real") for cost in costs(kind, (1000, 100_000))]
    ratios = []
    for few, many in zip(found[::2], found[1::2], strict=True):
        told = f"{few.remembered:,} images ({few.kind} hashes)"
        name = f"duplicates of one image among {many.remembered:,}"
        ratios.append(Ratio(name, many.single, few.single, f"among {told}", 3.0))
        name = f"duplicates of a round of {ROUND:,} among {many.remembered:,}"
        ratios.append(Ratio(name, many.in_round, few.in_round, f"among {told}", 3.0))
    return ratios


def costs(kind: str, sizes: Sequence[int]) -> list[Cost]:
    source = real_hashes() if kind == "real" else None
    rng = np.random.default_rng(0)
    return [_cost(kind, size, draw(source, size, rng), draw(source, ROUND + SINGLE, rng)) for size in sizes]


def real_hashes() -> Hashes:
    """Of single cells where HEMALOOP_TEST_DATA is set: the most uneven, with the cell in the middle. Else of smears."""
    folder = os.environ.get("HEMALOOP_TEST_DATA")
    paths = sorted((Path(folder) / "pbc-barcelona").rglob("*.jpg"))[::8] if folder else []
    images = [path.read_bytes() for path in paths] or fields(200)[1]
    return numbers([measure(image).phash for image in images])


def draw(source: Hashes | None, count: int, rng: np.random.Generator) -> Hashes:
    """Even hashes; or each that of a real image, in which every bit flips the more often the less sure it is.

    So bits that are nearly the same in all real images stay so, and images still differ.
    """
    if source is None:
        return rng.integers(0, 2**64, count, dtype=np.uint64)
    found = source[rng.integers(0, len(source), count)]
    for bit in range(64):
        share = float((source >> np.uint64(bit) & np.uint64(1)).mean())
        found ^= (rng.random(count) < 0.7 * share * (1 - share)).astype(np.uint64) << np.uint64(bit)
    return found


def _cost(kind: str, size: int, known: Hashes, asked: Hashes) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        bucket, ledger = Bucket(f"file://{folder}/bucket"), Ledger(f"sqlite:///{folder}/ledger.db")
        bucket.create()
        for start in range(0, size, AT_ONCE):
            _remember(ledger, bucket, known[start : start + AT_ONCE], start + 1)
        pictures = _pictures(asked, size + 1)
        with ledger.reading() as connection:
            find_originals(connection, pictures[:ROUND], BITS)  # whatever the disk and the first time cost
            single, in_round = [], []
            for picture in pictures[ROUND:]:
                start_at = time.perf_counter()
                find_originals(connection, [picture], BITS)
                single.append(time.perf_counter() - start_at)
            for _ in range(3):
                start_at = time.perf_counter()
                find_originals(connection, pictures[:ROUND], BITS)
                in_round.append((time.perf_counter() - start_at) / ROUND)
        settled = _settle(ledger, bucket, pictures[:ROUND])
        return Cost(kind, size, float(np.median(single)), float(np.median(in_round)), settled)


def _remember(ledger: Ledger, bucket: Bucket, hashes: Hashes, first: int) -> None:
    pictures = _pictures(hashes, first)
    with ledger.writing() as connection:
        connection.execute(insert(uploads), [_row(bucket, picture, State.VERSIONED) for picture in pictures])
        remember(connection, pictures)


def _settle(ledger: Ledger, bucket: Bucket, pictures: Sequence[Picture]) -> float:
    with ledger.writing() as connection:
        connection.execute(insert(uploads), [_row(bucket, picture, State.DISCOVERED) for picture in pictures])
    claim(ledger, bucket.url, "bench", ROUND, 600, NOON)
    measured = [
        Measured(p.upload, f"uploads/{p.upload:08d}", 1, measures=Measures(1, p.sha256, "jpeg", "", 1, 1, 3, p.phash))
        for p in pictures
    ]
    start = time.perf_counter()
    settle(ledger, bucket, measured, {}, "bench", BITS, NOON)
    return time.perf_counter() - start


def _pictures(hashes: Hashes, first: int) -> list[Picture]:
    return [Picture(id_, f"{id_:064x}", f"{phash:016x}") for id_, phash in enumerate(hashes.tolist(), first)]


def _row(bucket: Bucket, picture: Picture, state: State) -> dict[str, object]:
    place = {"bucket": bucket.url, "key": f"uploads/{picture.upload:08d}", "etag": "e", "size": 1, "modified": NOON}
    known = {"sha256": picture.sha256, "phash": picture.phash} if state is State.VERSIONED else {}
    return {"id": picture.upload, "state": state, **place, **known}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--million", action="store_true", help="a million remembered images, too")
    sizes = [1000, 10_000, 100_000] + [1_000_000] * parser.parse_args().million
    table = Table("hashes", "remembered", "one image", "in a round", "look-ups/s", "x 1,000's", f"settling {ROUND:,}")
    for kind in ("even", "real"):
        found = costs(kind, sizes)
        for cost in found:
            row = (f"{cost.single * 1e3:.2f} ms", f"{cost.in_round * 1e6:.0f} us", f"{1 / cost.in_round:,.0f}")
            growth = f"{cost.single / found[0].single:.1f} / {cost.in_round / found[0].in_round:.1f}"
            table.add_row(kind, f"{cost.remembered:,}", *row, growth, f"{cost.settled:.2f} s")
    Console().print(table)


if __name__ == "__main__":
    main()
