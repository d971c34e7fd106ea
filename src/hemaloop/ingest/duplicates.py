"""Which of the new uploads show a picture that we have already."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, CursorResult, and_, bindparam, delete, insert, select, text

from hemaloop.imaging.fingerprint import BANDS, BITS, FINE_BITS, bands, distance, distances, flips, numbers
from hemaloop.ingest.ledger import chunks
from hemaloop.ingest.schema import fingerprints, uploads
from hemaloop.ingest.states import State

# Of 192 bits: near images that show the same differ in at most 34, those that are near by chance in 60 or more.
# Measured on the real images: docs/reference/duplicates.md.
CONFIRMED_BITS = FINE_BITS // 4

_KEPT = (State.ACCEPTED, State.VERSIONED)
_LOOKED_UP = 256  # hashes at once: what they meet must fit in memory, also in a large ledger

# For every hash (n, x) and every change m of it, the fingerprints with just that band. CROSS JOIN tells SQLite this
# order; x XOR m is written out because SQLite has no operator for it.
_LOOK_UP = {
    "sqlite": text(
        "WITH m(x) AS MATERIALIZED (SELECT value FROM json_each(:flips)), "
        "v(n, x) AS MATERIALIZED (SELECT key, value FROM json_each(:found)) "
        "SELECT v.n, f.upload, f.phash FROM v CROSS JOIN m CROSS JOIN fingerprints f "
        "ON f.band = :band AND f.value = (v.x | m.x) - (v.x & m.x)"
    ),
    "postgresql": text(
        "WITH m(x) AS MATERIALIZED (SELECT value::integer FROM json_array_elements_text(CAST(:flips AS json))), "
        "v(x, n) AS MATERIALIZED (SELECT value::integer, ordinality - 1 "
        "FROM json_array_elements_text(CAST(:found AS json)) WITH ORDINALITY) "
        "SELECT v.n, f.upload, f.phash FROM v CROSS JOIN m JOIN fingerprints f "
        "ON f.band = :band AND f.value = (v.x # m.x)"
    ),
}


@dataclass(frozen=True)
class Picture:
    """What is compared of an upload."""

    upload: int
    sha256: str
    phash: str  # 16 hexadecimal digits
    phash_fine: str = ""  # 48; none of an upload from before there was one: its phash alone tells


@dataclass(frozen=True)
class Original:
    upload: int
    reason: str  # a few words


def find_originals(connection: Connection, pictures: Sequence[Picture], bits: int) -> dict[int, Original]:
    """For each upload that is a duplicate, its original; the others are to be kept.

    An original is the kept upload with the same bytes, else the nearest within `bits` of 64 whose finer hash confirms
    it; of equals, the oldest. Each is compared with the whole history and with those before it in `pictures` that
    turn out to be kept: the answers are the same as one by one.
    """
    same = _same_bytes(connection, pictures)
    fresh = [picture for picture in pictures if picture.sha256 not in same]
    near = _near_in_history(connection, fresh, bits)
    before = _near_before(fresh, bits)
    found: dict[int, Original] = {}
    kept: set[int] = set()
    for picture in pictures:
        id_ = picture.upload
        if picture.sha256 in same:
            found[id_] = Original(same[picture.sha256], "the same bytes")
            continue
        nearest = min(chain(near[id_], (each for each in before[id_] if each[1] in kept)), default=None)
        if nearest is not None:
            found[id_] = Original(nearest[1], f"near-duplicate at distance {nearest[0]} of {BITS}")
            continue
        kept.add(id_)
        same[picture.sha256] = id_
    return found


def remember(connection: Connection, pictures: Sequence[Picture]) -> None:
    """Let later uploads find these accepted ones."""
    rows = index_rows([picture.upload for picture in pictures], [picture.phash for picture in pictures])
    if rows:
        connection.execute(insert(fingerprints), rows)


def unremember(connection: Connection, ids: Sequence[int]) -> None:
    """Let no later upload find these."""
    for chunk in chunks(ids):
        query = select(uploads.c.id, uploads.c.phash).where(uploads.c.id.in_(chunk), uploads.c.phash.is_not(None))
        known = connection.execute(query).all()
        rows = index_rows([row.id for row in known], [row.phash for row in known])
        if rows:  # by the whole key: the index begins with the band
            columns = (fingerprints.c.band, fingerprints.c.value, fingerprints.c.upload)
            key = and_(*(column == bindparam(f"its_{column.name}") for column in columns))
            connection.execute(
                delete(fingerprints).where(key), [{f"its_{name}": row[name] for name in row} for row in rows]
            )


def index_rows(ids: Sequence[int], hashes: Sequence[str]) -> list[dict[str, int]]:
    """The rows of table `fingerprints` for these uploads."""
    found = numbers(list(hashes))
    signed = found.view(np.int64).tolist()
    return [
        {"band": band, "value": values[band], "upload": id_, "phash": phash}
        for id_, values, phash in zip(ids, bands(found).tolist(), signed, strict=True)
        for band in range(BANDS)
    ]


def _same_bytes(connection: Connection, pictures: Sequence[Picture]) -> dict[str, int]:
    """SHA-256 -> the oldest kept upload with it."""
    found: dict[str, int] = {}
    for chunk in chunks(sorted({picture.sha256 for picture in pictures})):
        # Asked for the state as well, a database may walk everything that is in it.
        query = select(uploads.c.sha256, uploads.c.id, uploads.c.state).where(uploads.c.sha256.in_(chunk))
        for sha256, id_, state in connection.execute(query.order_by(uploads.c.id.desc())):
            if state in _KEPT:
                found[sha256] = id_
    return found


def _near_in_history(
    connection: Connection, pictures: Sequence[Picture], bits: int
) -> defaultdict[int, list[tuple[int, int]]]:
    """Upload -> (distance, kept upload) for all that are near and confirmed."""
    near = [each for chunk in chunks(pictures, _LOOKED_UP) for each in _candidates(connection, chunk, bits)]
    known = _fine_hashes(connection, {upload for _, _, upload in near})
    found: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for picture, apart, upload in near:
        if upload in known and confirms(picture.phash_fine, known[upload]):
            found[picture.upload].append((apart, upload))
    return found


def _candidates(connection: Connection, pictures: Sequence[Picture], bits: int) -> set[tuple[Picture, int, int]]:
    """(picture, distance, remembered upload) for all within `bits` of 64."""
    hashes = numbers([picture.phash for picture in pictures])
    cut = bands(hashes)
    found: set[tuple[Picture, int, int]] = set()
    for band, changes in enumerate(flips(bits)):
        if not changes:
            continue
        asked = {"band": band, "flips": json.dumps(changes), "found": json.dumps(cut[:, band].tolist())}
        table = _rows(connection.execute(_LOOK_UP[connection.dialect.name], asked))
        apart = distances(hashes[table[:, 0]], table[:, 2].astype(np.uint64))
        for place in np.flatnonzero(apart <= bits):
            found.add((pictures[table[place, 0]], int(apart[place]), int(table[place, 1])))
    return found


def _rows(result: CursorResult[Any]) -> NDArray[np.int64]:
    """The driver's own rows: there are many, and they are nothing but three numbers each."""
    assert result.cursor is not None
    with result:
        return np.fromiter(chain.from_iterable(result.cursor.fetchall()), np.int64).reshape(-1, 3)


def _near_before(pictures: Sequence[Picture], bits: int) -> defaultdict[int, list[tuple[int, int]]]:
    """Upload -> (distance, upload before it) for all that are near and confirmed, among `pictures` alone."""
    hashes = numbers([picture.phash for picture in pictures])
    found: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for place, picture in enumerate(pictures):
        apart = distances(hashes[place], hashes[:place])
        for other in np.flatnonzero(apart <= bits).tolist():
            if confirms(picture.phash_fine, pictures[other].phash_fine):
                found[picture.upload].append((int(apart[other]), pictures[other].upload))
    return found


def confirms(one: str, other: str) -> bool:
    """Whether the finer hashes of two near images say, too, that they show the same."""
    return not one or not other or distance(one, other) <= CONFIRMED_BITS


def _fine_hashes(connection: Connection, ids: Iterable[int]) -> dict[int, str]:
    """Of those that are still kept: one may have been forgotten, or have vanished, since it was remembered."""
    found: dict[int, str] = {}
    for chunk in chunks(sorted(ids)):
        query = select(uploads.c.id, uploads.c.state, uploads.c.measures).where(uploads.c.id.in_(chunk))
        for id_, state, measures in connection.execute(query):
            known: dict[str, Any] = json.loads(measures) if measures else {}
            if state in _KEPT:
                found[id_] = known.get("phash_fine", "")
    return found
