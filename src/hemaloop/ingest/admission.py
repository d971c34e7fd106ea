"""Let uploads in: as accepted, or as duplicates of accepted ones."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from hemaloop.ingest.duplicates import Original, Picture, find_originals, remember, unremember
from hemaloop.ingest.ledger import Step, take
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.privacy import stripped_key
from hemaloop.ingest.states import State
from hemaloop.protocol.documents import encode

Columns = Mapping[str, Any]  # name -> value


def admit(
    connection: Connection,
    found: Measured,
    bits: int,
    actor: str,
    now: datetime,
    note: str = "",
    by_person: bool = False,
) -> State:
    """Accept one upload, unless the ledger has the same picture."""
    if by_person:  # it may have been accepted before, and vanished: it is not its own duplicate
        unremember(connection, [found.upload])
    return admit_all(connection, [found], bits, actor, now, {found.upload: note}, by_person=by_person)[found.upload]


def admit_all(
    connection: Connection,
    measured: Sequence[Measured],
    bits: int,
    actor: str,
    now: datetime,
    notes: Mapping[int, str] | None = None,
    more: Mapping[int, Columns] | None = None,
    by_person: bool = False,
) -> dict[int, State]:
    """Accept uploads, but for those of which the ledger, or an earlier one here, has the same picture.

    Args:
        notes: upload -> what the history says of it besides.
        more: upload -> other columns to set.
    """
    pictures = [_picture(found) for found in measured]
    originals = find_originals(connection, pictures, bits)
    steps = [
        _step(found, originals.get(found.upload), (notes or {}).get(found.upload, ""), (more or {}).get(found.upload))
        for found in measured
    ]
    take(connection, steps, actor, now, by_person)
    remember(connection, [picture for picture in pictures if picture.upload not in originals])
    return {step.upload: step.state for step in steps}


def known_values(found: Measured) -> dict[str, Any]:
    """What the ledger keeps of a settled upload; the claim on it ends."""
    values: dict[str, Any] = {"claimed_by": None, "lease_until": None}
    if found.measures is not None:
        values |= {"sha256": found.measures.sha256 or None, "measures": encode(found.measures).decode()}
    if found.stripped is not None:
        values["sent_sha256"] = found.stripped.sent_sha256
    if found.sidecar is not None:
        values |= {"sidecar": encode(found.sidecar).decode(), "patient": found.sidecar.patient}
    return values


def _picture(found: Measured) -> Picture:
    assert found.measures is not None
    return Picture(found.upload, found.measures.sha256, found.measures.phash, found.measures.phash_fine)


def _step(found: Measured, original: Original | None, note: str, more: Columns | None) -> Step:
    assert found.measures is not None
    values = known_values(found) | {"phash": found.measures.phash, "reason": "", "original": None} | dict(more or {})
    if original is None:
        if found.stripped is not None:
            values["stored_key"] = stripped_key(found.key, found.measures.sha256)
        return Step(found.upload, State.ACCEPTED, note, values)
    values |= {"original": original.upload, "reason": original.reason}
    return Step(found.upload, State.DUPLICATE, "; ".join(part for part in (note, original.reason) if part), values)
