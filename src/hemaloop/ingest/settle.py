"""Settle claimed uploads: into quarantine, a duplicate of an older one, or accepted."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from hemaloop.ingest.admission import admit, known_values
from hemaloop.ingest.claims import held
from hemaloop.ingest.ledger import Ledger, Step, take
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.quarantine import put_all, quarantine_keys
from hemaloop.ingest.rules import Refusal
from hemaloop.ingest.states import State
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settled:
    accepted: int
    duplicates: int
    quarantined: dict[str, int]  # reason -> uploads


def settle(
    ledger: Ledger,
    bucket: Bucket,
    measured: Sequence[Measured],
    refused: Mapping[int, Refusal],
    owner: str,
    bits: int,
    now: datetime,
) -> Settled:
    """Bring every measured upload that `owner` still holds to its next state.

    Killed between any two effects and done again, it ends the same: what is written to quarantine is written
    again as it was, and each upload changes its state in one transaction, after that.
    """
    with ledger.reading() as connection:
        measured = _mine(connection, owner, measured)
    quarantined = _refuse(ledger, bucket, [m for m in measured if m.upload in refused], refused, owner, now)
    accepted, duplicates = _admit(ledger, [m for m in measured if m.upload not in refused], owner, bits, now)
    log.info("%d accepted, %d duplicates, quarantined: %s", accepted, duplicates, dict(quarantined) or "none")
    return Settled(accepted, duplicates, dict(quarantined))


def _refuse(
    ledger: Ledger,
    bucket: Bucket,
    measured: Sequence[Measured],
    refused: Mapping[int, Refusal],
    owner: str,
    now: datetime,
) -> Counter[str]:
    if not measured:
        return Counter()
    keys = quarantine_keys(ledger, [found.upload for found in measured])
    put_all(bucket, measured, refused, keys, now)
    with ledger.writing() as connection:
        mine = _mine(connection, owner, measured)
        steps = []
        for found in mine:
            refusal = refused[found.upload]
            values = known_values(found) | {"reason": refusal.reason, "quarantine_key": keys[found.upload]}
            values["quarantined_at"] = now
            note = f"{refusal.reason}: {refusal.note}" if refusal.note else refusal.reason
            steps.append(Step(found.upload, State.QUARANTINED, note, values))
        take(connection, steps, owner, now)
    return Counter(refused[found.upload].reason for found in mine)


def _admit(ledger: Ledger, measured: Sequence[Measured], owner: str, bits: int, now: datetime) -> tuple[int, int]:
    """In one transaction and in order of keys, so that of two new duplicates the earlier key stays."""
    if not measured:
        return 0, 0
    states: Counter[State] = Counter()
    with ledger.writing() as connection:
        for found in _mine(connection, owner, measured):
            states[admit(connection, found, bits, owner, now)] += 1
    return states[State.ACCEPTED], states[State.DUPLICATE]


def _mine(connection: Connection, owner: str, measured: Sequence[Measured]) -> list[Measured]:
    """Those whose claim has not passed to another run meanwhile."""
    ours = {upload.id for upload in held(connection, owner)}
    return sorted((m for m in measured if m.upload in ours), key=lambda found: (found.key, found.upload))
