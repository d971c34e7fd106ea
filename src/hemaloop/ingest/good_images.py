"""Good images to learn thresholds from: a folder that somebody chose, or what one device had accepted."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import func, select

from hemaloop.errors import DataError
from hemaloop.imaging.measure import Measures, measure
from hemaloop.ingest.ledger import Ledger, read_uploads, selected
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.states import State
from hemaloop.ingest.thresholds import QUALITIES
from hemaloop.protocol.documents import decode
from hemaloop.protocol.keys import IMAGE_SUFFIXES, UPLOADS, sidecar_key
from hemaloop.protocol.sidecar import Sidecar

THREADS = 4  # OpenCV gives the interpreter's lock back while it works

By = Literal["device", "stain"]


@dataclass(frozen=True)
class Good:
    """One good image."""

    name: str
    device: str | None
    stain: str | None
    values: Mapping[str, float]  # by measure


def from_folder(folder: Path) -> list[Good]:
    """Every image below `folder`; device and stain are known where a sidecar lies beside it.

    Raises:
        DataError: no folder, or an image that cannot be read.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise DataError(f"{folder}: wanted a folder with good images in it, found none")
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(_from_file, paths))


def from_ledger(ledger: Ledger, device: str, limit: int) -> list[Good]:
    """The newest `limit` accepted uploads of one device, as they were measured."""
    kept = (State.ACCEPTED, State.VERSIONED)
    prefix = f"{UPLOADS}{device}/"
    begins = func.substr(uploads.c.key, 1, len(prefix)) == prefix  # LIKE takes other cases too, in SQLite
    query = select(uploads.c.id).where(begins, uploads.c.state.in_(kept))
    newest = query.order_by(uploads.c.id.desc()).limit(limit)
    with ledger.reading() as connection:
        found = read_uploads(connection, selected().where(uploads.c.id.in_(newest)).order_by(uploads.c.id))
    good = [
        Good(each.key, device, each.sidecar.stain if each.sidecar else None, _values(each.measures))
        for each in found
        if each.measures
    ]
    if not good:
        raise DataError(
            f"device {device}: the ledger has no accepted upload of it: `hemaloop status` shows the devices"
        )
    return good


def grouped(good: Sequence[Good], by: By | None) -> dict[str, list[Good]]:
    """By device or by stain; "" is the only group where thresholds in general are learned.

    Raises:
        DataError: an image without a sidecar that says so.
    """
    groups: dict[str, list[Good]] = {}
    for each in good:
        name = getattr(each, by) if by else ""
        if name is None:
            raise DataError(f"{each.name}: no sidecar says its {by}: learn without --by, or put its sidecar beside it")
        groups.setdefault(name, []).append(each)
    return dict(sorted(groups.items()))


def _from_file(path: Path) -> Good:
    measures = measure(path.read_bytes())
    if measures.problem:
        raise DataError(f"{path}: {measures.problem}: that is no good image: take it out")
    beside = Path(sidecar_key(str(path)))
    sidecar = decode(beside.read_bytes(), Sidecar) if beside.is_file() else None
    return Good(str(path), sidecar.device if sidecar else None, sidecar.stain if sidecar else None, _values(measures))


def _values(measures: Measures) -> dict[str, float]:
    return {name: float(getattr(measures, name)) for name in QUALITIES}
