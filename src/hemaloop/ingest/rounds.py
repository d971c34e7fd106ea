"""A round as a whole: its devices beside what they sent before. What was found is kept in the ledger."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select

from hemaloop.ingest.drift import drift, imbalance, surely
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.rules import Judgement, Refusal
from hemaloop.ingest.schema import rounds, uploads
from hemaloop.ingest.states import State
from hemaloop.ingest.thresholds import QUALITIES, Thresholds
from hemaloop.protocol.keys import parse_upload_key

WHOLE = "the whole round"

_KEPT = (State.ACCEPTED, State.DUPLICATE, State.VERSIONED)
_SETTLED = (*_KEPT, State.QUARANTINED, State.PURGED)


@dataclass(frozen=True)
class Seen:
    """An upload, as far as its device is judged by it."""

    device: str
    refused: bool
    versioned: bool = False
    label: str | None = None
    qualities: Mapping[str, float] = field(default_factory=dict)  # empty where it could not be decoded


@dataclass(frozen=True)
class Group:
    """A device's newest uploads, or a whole round, beside what came before. NaN where that is too little."""

    name: str
    uploads: int
    refused: int
    refused_share: float  # for sure; see drift.surely
    class_balance: float  # for sure; see drift.imbalance
    drifts: Mapping[str, float]  # by measure, for sure; see drift.drift


@dataclass(frozen=True)
class Round:
    """What the ledger keeps of a round."""

    id: str
    at: datetime
    uploads: int
    refused: int
    suspect: str  # "" where nothing is
    docs: str  # key of its page


def device_of(key: str) -> str:
    """The device that an upload's key names; "" where it is in no device's place."""
    place = parse_upload_key(key)
    return place.device if place else ""


def seen(measured: Sequence[Measured], refused: Mapping[int, Refusal]) -> list[Seen]:
    """A round's uploads."""
    return [
        Seen(
            device_of(found.key),
            found.upload in refused,
            label=found.sidecar.label if found.sidecar else None,
            qualities={name: float(getattr(found.measures, name)) for name in QUALITIES}
            if found.measures and not found.measures.problem
            else {},
        )
        for found in measured
    ]


def recent(ledger: Ledger, newest: int, limit: int) -> list[Seen]:
    """Of the `limit` uploads that were entered up to `newest` those that are settled, newest first.

    By number alone, so that the cost is bounded: with the state in the query, a database may walk all of history.
    """
    query = select(uploads.c.key, uploads.c.state, uploads.c.measures, uploads.c.sidecar)
    query = query.where(uploads.c.id <= newest, uploads.c.id > newest - limit).order_by(uploads.c.id.desc())
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
    return [_seen(*row) for row in rows if row.state in _SETTLED]


def groups(round_: Sequence[Seen], earlier: Sequence[Seen], window: int) -> list[Group]:
    """The whole round, and each of its devices: its newest `window` uploads, or all of the round's if those are more.

    Args:
        earlier: settled uploads of all devices, newest first. What the window leaves is the reference: the
            versioned ones of the same device, since devices and their slides differ more than days do.
    """
    whole = _group(WHOLE, round_, earlier, QUALITIES[:0])
    of_round, of_before = _by_device(round_), _by_device(earlier)
    found = []
    for device in sorted(of_round.keys() - {""}):
        mine, older = of_round[device], of_before.get(device, [])
        missing = max(0, window - len(mine))
        found.append(_group(device, [*mine, *older[:missing]], older[missing:], QUALITIES))
    return [whole, *found]


def record_round(ledger: Ledger, judgement: Judgement, count: int, now: datetime) -> None:
    """Keep what was found; again, it replaces what was kept of the same round."""
    values = {
        "id": judgement.round,
        "at": now,
        "uploads": count,
        "refused": len(judgement.refused),
        "suspect": "; ".join(judgement.suspect),
        "docs": judgement.docs,
    }
    with ledger.writing() as connection:
        connection.execute(delete(rounds).where(rounds.c.id == judgement.round))
        connection.execute(insert(rounds).values(values))


def newest_rounds(ledger: Ledger, limit: int) -> list[Round]:
    """Newest first."""
    query = select(rounds).order_by(rounds.c.at.desc()).limit(limit)
    with ledger.reading() as connection:
        return [Round(**row._mapping) for row in connection.execute(query)]


def before(ledger: Ledger, measured: Sequence[Measured], thresholds: Thresholds) -> list[Seen]:
    """What a round is judged beside. The round itself is among the rows that are read, not settled yet."""
    newest = max((found.upload for found in measured), default=0)
    return recent(ledger, newest, thresholds.reference_images + thresholds.window_images + len(measured))


def _by_device(part: Sequence[Seen]) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    for each in part:
        found.setdefault(each.device, []).append(each)
    return found


def _group(name: str, sample: Sequence[Seen], older: Sequence[Seen], measures: Sequence[str]) -> Group:
    reference = [each for each in older if each.versioned]
    refused = sum(each.refused for each in sample)
    labels = [[each.label for each in part if each.label] for part in (sample, reference)]
    # Refused ones are told of already: drift is looked for in what is taken in.
    taken = [each for each in sample if not each.refused]
    drifts = {measure: drift(*(_values(part, measure) for part in (taken, reference))) for measure in measures}
    return Group(name, len(sample), refused, surely(refused, len(sample)), imbalance(*labels), drifts)


def _values(part: Sequence[Seen], measure: str) -> list[float]:
    found = [each.qualities.get(measure, math.nan) for each in part]
    return [value for value in found if not math.isnan(value)]


def _seen(key: str, state: str, measures: str | None, sidecar: str | None) -> Seen:
    """From the ledger's JSON, by hand: a measure that an older version did not take is only missing."""
    known: dict[str, Any] = json.loads(measures) if measures else {}
    qualities = {name: float(known[name]) for name in QUALITIES if name in known} if not known.get("problem") else {}
    label = json.loads(sidecar).get("label") if sidecar else None
    return Seen(device_of(key), state not in _KEPT, state == State.VERSIONED, label, qualities)
