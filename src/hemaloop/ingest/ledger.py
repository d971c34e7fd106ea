"""The ledger: every upload ever seen, its state and its history. SQLite, or PostgreSQL by URL."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, insert, null, select
from sqlalchemy import update as sql_update
from sqlalchemy.dialects import postgresql, sqlite

from hemaloop.errors import HemaloopError
from hemaloop.imaging.measure import Measures
from hemaloop.ingest import migrations
from hemaloop.ingest.database import begin_writing, open_engine, shown, translated
from hemaloop.ingest.records import Change, Trace, Upload
from hemaloop.ingest.schema import batches, history, uploads
from hemaloop.ingest.states import State, may_follow
from hemaloop.protocol.documents import decode
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import StoredObject

CHUNK = 500  # ids in one statement: SQLite takes 32,766 parameters, older ones 999

_original = uploads.alias("original")


@dataclass(frozen=True)
class Step:
    """A change of state to make: of which upload, to what, and why."""

    upload: int
    state: State
    note: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)  # other columns to set


class Ledger:
    """Every transaction writes rows and their history together, one writer at a time.

    Raises (any method):
        ConfigError: the URL names no database that we can open, or a newer hemaloop's.
        TransientError: the database is away, or busy for long.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = open_engine(url)
        with self.reading() as connection:
            ready = migrations.is_current(connection)
        if not ready:
            with self.writing() as connection:
                migrations.upgrade(connection, shown(url))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with translated(self.url), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer overlaps: what it reads stays true until it ends."""
        with translated(self.url), self._engine.connect() as connection:
            begin_writing(connection)
            yield connection
            connection.commit()

    def history(self, key: str) -> tuple[Trace, ...]:
        """What happened to an upload; several traces where the object was replaced, oldest first."""
        with self.reading() as connection:
            found = read_uploads(connection, selected().where(uploads.c.key == key).order_by(uploads.c.id))
            return tuple(Trace(upload, _changes(connection, upload.id)) for upload in found)

    def counts(self) -> dict[State, int]:
        """How many uploads are in each state."""
        query = select(uploads.c.state, func.count()).group_by(uploads.c.state)
        with self.reading() as connection:
            return {State(state): count for state, count in connection.execute(query)}

    def quarantined(self) -> tuple[Upload, ...]:
        """What is in quarantine now, in order of keys."""
        query = selected().where(uploads.c.state == State.QUARANTINED).order_by(uploads.c.key, uploads.c.id)
        with self.reading() as connection:
            return tuple(read_uploads(connection, query))


def selected(measures: bool = True) -> Select[Any]:
    """A query for uploads, as `read_uploads` wants it; without their measures, it is several times as quick."""
    columns = uploads.c if measures else [each for each in uploads.c if each is not uploads.c.measures]
    joined = uploads.outerjoin(_original, uploads.c.original == _original.c.id).outerjoin(
        batches, uploads.c.batch == batches.c.id
    )
    return select(
        *columns,
        *([] if measures else [null().label("measures")]),
        _original.c.key.label("original_key"),
        _original.c.sha256.label("original_sha256"),
        batches.c.revision.label("revision"),
    ).select_from(joined)


def read_uploads(connection: Connection, query: Select[Any]) -> list[Upload]:
    return [_upload(row) for row in connection.execute(query)]


def read_by_id(connection: Connection, ids: Sequence[int], measures: bool = True) -> list[Upload]:
    """These uploads, in the order of `ids`; each must be there."""
    found: dict[int, Upload] = {}
    for chunk in chunks(ids):
        query = selected(measures).where(uploads.c.id.in_(chunk))
        found |= {upload.id: upload for upload in read_uploads(connection, query)}
    return [found[id_] for id_ in ids]


def enter(
    connection: Connection,
    bucket: str,
    found: Sequence[StoredObject],
    actor: str,
    at: datetime,
    sidecars: Mapping[str, str],
) -> int:
    """Enter objects of a bucket that the ledger does not know yet; how many those were.

    Args:
        sidecars: key of an object -> ETag of the sidecar that was listed beside it.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(uploads).on_conflict_do_nothing().returning(uploads.c.id, uploads.c.size)
    rows = [
        {"bucket": bucket, "state": State.DISCOVERED, "reason": ""}
        | {"key": stored.key, "etag": stored.etag, "size": stored.size, "modified": stored.modified}
        | {"sidecar_etag": sidecars.get(stored.key)}
        for stored in found
    ]
    new = connection.execute(statement, rows).all() if rows else []
    record(connection, [(row.id, State.DISCOVERED, f"{row.size} bytes in {bucket}") for row in new], actor, at)
    return len(new)


def take(connection: Connection, steps: Sequence[Step], actor: str, at: datetime, by_person: bool = False) -> None:
    """Change states, and write the history of it.

    Raises:
        HemaloopError: a state may not follow the one before; nothing is changed.
    """
    before = _states(connection, [step.upload for step in steps])
    for step in steps:
        known = before.pop(step.upload, None)
        if known is None:
            raise HemaloopError(f"upload {step.upload}: the ledger has none, or two steps of it at once")
        if not may_follow(known, step.state, by_person):
            raise HemaloopError(f"upload {step.upload}: {step.state} may not follow {known}")
    set_columns(connection, {step.upload: {"state": step.state, **step.values} for step in steps})
    record(connection, [(step.upload, step.state, step.note) for step in steps], actor, at)


def set_columns(connection: Connection, values: Mapping[int, Mapping[str, Any]]) -> None:
    """Set columns of many uploads: id -> column -> value. A change of state goes through `take`."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for id_, columns in values.items():
        alike.setdefault(tuple(columns), []).append({"upload_id": id_, **columns})
    for names, rows in alike.items():
        statement = sql_update(uploads).where(uploads.c.id == bindparam("upload_id"))
        connection.execute(statement.values({name: bindparam(name) for name in names}), rows)


def record(connection: Connection, rows: Sequence[tuple[int, State, str]], actor: str, at: datetime) -> None:
    """Write rows of history: (upload, state, note)."""
    if rows:
        connection.execute(
            insert(history),
            [{"upload": id_, "at": at, "state": state, "actor": actor, "note": note} for id_, state, note in rows],
        )


def chunks(values: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _states(connection: Connection, ids: Sequence[int]) -> dict[int, State]:
    found: dict[int, State] = {}
    for chunk in chunks(ids):
        query = select(uploads.c.id, uploads.c.state).where(uploads.c.id.in_(chunk))
        found |= {id_: State(state) for id_, state in connection.execute(query)}
    return found


def _changes(connection: Connection, upload: int) -> tuple[Change, ...]:
    query = select(history).where(history.c.upload == upload).order_by(history.c.id)
    return tuple(Change(row.at, State(row.state), row.actor, row.note) for row in connection.execute(query))


def _upload(row: Row[Any]) -> Upload:
    return Upload(
        id=row.id, bucket=row.bucket, key=row.key, etag=row.etag, size=row.size, modified=row.modified,
        state=State(row.state), reason=row.reason, claimed_by=row.claimed_by, lease_until=row.lease_until,
        sha256=row.sha256,
        measures=decode(row.measures.encode(), Measures) if row.measures else None,
        sidecar=decode(row.sidecar.encode(), Sidecar) if row.sidecar else None,
        patient=row.patient, stored_key=row.stored_key, sent_sha256=row.sent_sha256,
        quarantine_key=row.quarantine_key, quarantined_at=row.quarantined_at,
        original=row.original_key, original_sha256=row.original_sha256,
        batch=row.batch, revision=row.revision,
    )  # fmt: skip
