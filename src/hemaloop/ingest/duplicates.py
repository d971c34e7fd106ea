"""Which of the new uploads show a picture that we have already."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, or_, select

from hemaloop.imaging.fingerprint import BANDS, BITS, bands, distance, near
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
    found_near = [(distance(phash, other), upload) for upload, other in _candidates(connection, phash, bits)]
    apart, upload = min(found_near, default=(BITS, 0))
    return Original(upload, f"near-duplicate at distance {apart} of {BITS}") if apart <= bits else None


def remember(connection: Connection, upload: int, phash: str) -> None:
    """Let later uploads find this accepted one."""
    rows = [{"band": band, "value": value, "upload": upload} for band, value in enumerate(bands(phash))]
    connection.execute(insert(fingerprints), rows)


def _candidates(connection: Connection, phash: str, bits: int) -> list[tuple[int, str]]:
    """Accepted uploads with a band that differs in few bits."""
    shares = or_(
        *(
            (fingerprints.c.band == band) & fingerprints.c.value.in_(near(value, bits // BANDS))
            for band, value in enumerate(bands(phash))
        )
    )
    query = (
        select(fingerprints.c.upload, uploads.c.phash)
        .join(uploads, uploads.c.id == fingerprints.c.upload)
        .where(shares)
        .distinct()
    )
    return [(row.upload, row.phash) for row in connection.execute(query)]
