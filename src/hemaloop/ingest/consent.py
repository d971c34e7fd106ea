"""Consent that was withdrawn: what comes in again of such a patient, or of such an image, is deleted."""

import hashlib
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from hemaloop.ingest.ledger import chunks
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.removals import Removal
from hemaloop.ingest.rules import CONSENT_WITHDRAWN, Refusal
from hemaloop.ingest.schema import tombstones
from hemaloop.protocol.keys import sidecar_key

IMAGE, PATIENT = "image", "patient"  # kinds of tombstones


def find_withdrawn(connection: Connection, measured: Sequence[Measured]) -> dict[int, Refusal]:
    """Upload -> why it may not be kept, whatever else is said of it."""
    asked = {found.upload: _names(found) for found in measured}
    known: set[tuple[str, str]] = set()
    for chunk in chunks(sorted({sha256 for names in asked.values() for _, sha256 in names})):
        query = select(tombstones.c.kind, tombstones.c.sha256).where(tombstones.c.sha256.in_(chunk))
        known |= {(kind, sha256) for kind, sha256 in connection.execute(query)}
    return {
        upload: Refusal(CONSENT_WITHDRAWN, "consent was withdrawn: its bytes and its sidecar are deleted")
        for upload, names in asked.items()
        if known.intersection(names)
    }


def removals_of(found: Measured, copies: Iterable[str]) -> list[Removal]:
    """Everything that the bucket has of such an upload."""
    known = found.measures.sha256 if found.measures else None
    sent = found.stripped.sent_sha256 if found.stripped else known
    beside = [Removal(found.upload, key) for key in (sidecar_key(found.key), *copies)]
    return [Removal(found.upload, found.key, sent or None), *beside]


def _names(found: Measured) -> set[tuple[str, str]]:
    """(kind, SHA-256) under which a tombstone may stand."""
    names = set()
    if found.measures is not None and found.measures.sha256:
        names.add((IMAGE, found.measures.sha256))
    if found.stripped is not None:
        names.add((IMAGE, found.stripped.sent_sha256))
    if found.sidecar is not None and found.sidecar.patient is not None:
        names.add((PATIENT, hashlib.sha256(found.sidecar.patient.encode()).hexdigest()))
    return names
