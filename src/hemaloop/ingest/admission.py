"""Let one upload in: as accepted, or as a duplicate of an accepted one."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from hemaloop.ingest.duplicates import find_original, remember
from hemaloop.ingest.ledger import Step, take
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.states import State
from hemaloop.protocol.documents import encode


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
    assert found.measures is not None
    sha256, phash = found.measures.sha256, found.measures.phash
    values = known_values(found) | {"sha256": sha256, "phash": phash, "reason": ""}
    original = find_original(connection, sha256, phash, bits)
    if original is None:
        take(connection, [Step(found.upload, State.ACCEPTED, note, values)], actor, now, by_person)
        remember(connection, found.upload, phash)
        return State.ACCEPTED
    values |= {"original": original.upload, "reason": original.reason}
    note = "; ".join(part for part in (note, original.reason) if part)
    take(connection, [Step(found.upload, State.DUPLICATE, note, values)], actor, now, by_person)
    return State.DUPLICATE


def known_values(found: Measured) -> dict[str, Any]:
    """What the ledger keeps of a settled upload; the claim on it ends."""
    values: dict[str, Any] = {"claimed_by": None, "lease_until": None}
    if found.measures is not None:
        values |= {"sha256": found.measures.sha256 or None, "measures": encode(found.measures).decode()}
    if found.sidecar is not None:
        values["sidecar"] = encode(found.sidecar).decode()
    return values
