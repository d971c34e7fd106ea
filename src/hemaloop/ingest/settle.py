"""Settle claimed uploads: into quarantine, a duplicate of an older one, or accepted."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from hemaloop.ingest import removals
from hemaloop.ingest.admission import admit_all, known_values
from hemaloop.ingest.claims import held_ids
from hemaloop.ingest.consent import find_withdrawn, removals_of
from hemaloop.ingest.ledger import Ledger, Step, take
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.originals import keep_stripped
from hemaloop.ingest.privacy import stripped_key
from hemaloop.ingest.quarantine import WRITERS, objects_of, put_all, quarantine_keys
from hemaloop.ingest.removals import Removal
from hemaloop.ingest.rules import CONSENT_WITHDRAWN, VANISHED, Refusal
from hemaloop.ingest.states import State
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

PRIVATE = "private_exif"


@dataclass(frozen=True)
class Settled:
    accepted: int
    duplicates: int
    quarantined: dict[str, int]  # reason -> uploads


@dataclass(frozen=True)
class _Prepared:
    """Uploads whose copies are where they are to be: what is left is to say so in the ledger."""

    measured: tuple[Measured, ...]  # in order of keys, so that of two new duplicates the earlier key stays
    refused: Mapping[int, Refusal]
    keys: Mapping[int, str]  # in quarantine/, of those that are refused or whose original is


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

    Killed between any two effects and done again, it ends the same: copies are written first, and written again as
    they were; then all uploads change their states in one transaction; only then are originals deleted.
    """
    with ledger.reading() as connection:
        mine = _mine(connection, owner, measured)
        withdrawn = find_withdrawn(connection, mine)
    prepared = _prepare(ledger, bucket, mine, {**refused, **withdrawn}, now)
    settled = _decide(ledger, prepared, owner, bits, now)
    removals.carry_out(ledger, bucket)
    counts = settled.quarantined or "none"
    log.info("%d accepted, %d duplicates, quarantined: %s", settled.accepted, settled.duplicates, counts)
    return settled


def _prepare(
    ledger: Ledger, bucket: Bucket, measured: Sequence[Measured], refused: Mapping[int, Refusal], now: datetime
) -> _Prepared:
    """Write the copies: of what is refused, to quarantine; of what holds private metadata, one without it."""
    gone = _keep_stripped(bucket, [found for found in measured if found.stripped and found.upload not in refused])
    refused = {**refused, **gone}
    put = {id_: refusal for id_, refusal in refused.items() if refusal.reason != CONSENT_WITHDRAWN}
    for found in measured:
        if found.upload not in refused and found.stripped and found.stripped.keep_original:
            put[found.upload] = Refusal(PRIVATE, f"{found.stripped.found}: a copy without it was taken in")
    copied = [found for found in measured if found.upload in put]
    keys = quarantine_keys(ledger, [found.upload for found in copied])
    put_all(bucket, copied, put, keys, now)
    return _Prepared(tuple(measured), refused, keys)


def _keep_stripped(bucket: Bucket, measured: Sequence[Measured]) -> dict[int, Refusal]:
    """Those of which no copy could be kept, since they are gone, or replaced, since they were measured."""

    def keep(found: Measured) -> bool:
        assert found.stripped is not None
        assert found.measures is not None
        return keep_stripped(bucket, found.key, found.stripped.sent_sha256, found.measures.sha256)

    with ThreadPoolExecutor(WRITERS) as pool:
        kept = list(pool.map(keep, measured))
    note = "it was measured, and gone when it was to be kept"
    return {found.upload: Refusal(VANISHED, note) for found, there in zip(measured, kept, strict=True) if not there}


def _decide(ledger: Ledger, prepared: _Prepared, owner: str, bits: int, now: datetime) -> Settled:
    """Everything of a round in one transaction. Consent may have been withdrawn since: that is looked up again."""
    with ledger.writing() as connection:
        mine = _mine(connection, owner, prepared.measured)
        refused = {**prepared.refused, **find_withdrawn(connection, mine)}
        steps = [
            _refusal(found, refused[found.upload], prepared.keys, now) for found in mine if found.upload in refused
        ]
        take(connection, steps, owner, now)
        good = [found for found in mine if found.upload not in refused]
        quarantined = {id_: {"quarantine_key": key, "quarantined_at": now} for id_, key in prepared.keys.items()}
        states = admit_all(connection, good, bits, owner, now, _notes(good), quarantined)
        gone = [_removals(found, states.get(found.upload), refused, prepared.keys) for found in mine]
        removals.ask(connection, chain.from_iterable(gone))
    counts = Counter(states.values())
    reasons = Counter(refused[step.upload].reason for step in steps)
    return Settled(counts[State.ACCEPTED], counts[State.DUPLICATE], dict(reasons))


def _refusal(found: Measured, refusal: Refusal, keys: Mapping[int, str], now: datetime) -> Step:
    note = f"{refusal.reason}: {refusal.note}" if refusal.note else refusal.reason
    values: dict[str, Any] = {"reason": refusal.reason, "quarantined_at": now, "claimed_by": None, "lease_until": None}
    if refusal.reason != CONSENT_WITHDRAWN:  # nothing is kept of those
        values |= known_values(found) | {"quarantine_key": keys[found.upload]}
    return Step(found.upload, State.QUARANTINED, note, values)


def _notes(measured: Sequence[Measured]) -> dict[int, str]:
    """What the history says of those whose private metadata was taken away."""
    notes = {}
    for found in measured:
        if found.stripped:
            original = "is in quarantine" if found.stripped.keep_original else "was dropped"
            notes[found.upload] = f"without its private metadata ({found.stripped.found}); the original {original}"
    return notes


def _removals(
    found: Measured, state: State | None, refused: Mapping[int, Refusal], keys: Mapping[int, str]
) -> list[Removal]:
    """What of an upload is to leave the bucket: the original of a copy, a copy of no use, and what nobody may keep."""
    copies = []
    if found.stripped and found.measures:
        copies = [Removal(found.upload, stripped_key(found.key, found.measures.sha256), found.measures.sha256)]
    refusal = refused.get(found.upload)
    if refusal and refusal.reason == CONSENT_WITHDRAWN:
        quarantined = objects_of(keys[found.upload]) if found.upload in keys else ()
        return [*removals_of(found, quarantined), *copies]
    if not found.stripped:
        return []
    original = Removal(found.upload, found.key, found.stripped.sent_sha256)
    return [original] if state is State.ACCEPTED else [original, *copies]


def _mine(connection: Connection, owner: str, measured: Sequence[Measured]) -> list[Measured]:
    """Those whose claim has not passed to another run meanwhile, in order of keys."""
    ours = held_ids(connection, owner)
    return sorted((found for found in measured if found.upload in ours), key=lambda found: (found.key, found.upload))
