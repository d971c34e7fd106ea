"""Which of the new uploads show a picture that we have already."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, or_, select
from sqlalchemy import delete as sql_delete

from hemaloop.imaging.fingerprint import BITS, bands, distance
from hemaloop.ingest.schema import fingerprints, uploads
from hemaloop.ingest.states import State

_KEPT = (State.ACCEPTED, State.VERSIONED)


@dataclass(frozen=True)
class Original:
    upload: int
    reason: str  # a few words


def find_original(connection: Connection, sha256: str, phash: str, bits: int) -> Original | None:
    """The accepted upload with the same bytes, else the nearest within `bits` of 64; of equals, the oldest."""
    same = select(func.min(uploads.c.id)).where(uploads.c.sha256 == sha256, uploads.c.state.in_(_KEPT))
    found = connection.execute(same).scalar()
    if found is not None:
        return Original(found, "the same bytes")
    near = [(distance(phash, other), upload) for upload, other in _candidates(connection, phash, bits)]
    apart, upload = min(near, default=(BITS, 0))
    return Original(upload, f"near-duplicate at distance {apart} of {BITS}") if apart <= bits else None


def remember(connection: Connection, upload: int, phash: str, bits: int) -> None:
    """Let later uploads find this accepted one."""
    rows = [{"bits": bits, "band": band, "value": f"{value:x}", "upload": upload} for band, value in bands(phash, bits)]
    connection.execute(insert(fingerprints), rows)


def used_bits(connection: Connection) -> int:
    """The distance that the fingerprints are cut for; without any, one that `use_bits` may change."""
    return connection.execute(select(func.min(fingerprints.c.bits))).scalar() or 0


def use_bits(connection: Connection, bits: int) -> None:
    """Cut the fingerprints anew if they were cut for another distance."""
    used = connection.execute(select(func.min(fingerprints.c.bits), func.max(fingerprints.c.bits))).one()
    if set(used) <= {None, bits}:
        return
    connection.execute(sql_delete(fingerprints))
    kept = select(uploads.c.id, uploads.c.phash).where(uploads.c.state.in_(_KEPT), uploads.c.phash.is_not(None))
    for row in connection.execute(kept).all():
        remember(connection, row.id, row.phash, bits)


def _candidates(connection: Connection, phash: str, bits: int) -> list[tuple[int, str]]:
    """Accepted uploads that share a band."""
    shares = or_(
        *((fingerprints.c.band == band) & (fingerprints.c.value == f"{value:x}") for band, value in bands(phash, bits))
    )
    query = (
        select(fingerprints.c.upload, uploads.c.phash)
        .join(uploads, uploads.c.id == fingerprints.c.upload)
        .where(fingerprints.c.bits == bits, shares)
        .distinct()
    )
    return [(row.upload, row.phash) for row in connection.execute(query)]
