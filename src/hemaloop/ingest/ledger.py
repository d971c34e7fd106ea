"""The ledger: every upload ever seen, its state and its history. SQLite, or PostgreSQL by URL."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, Row, Select, create_engine, event, func, insert, inspect, select
from sqlalchemy import update as sql_update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from hemaloop.errors import ConfigError, HemaloopError, TransientError
from hemaloop.imaging.measure import Measures
from hemaloop.ingest.records import Change, Trace, Upload
from hemaloop.ingest.schema import batches, history, metadata, uploads
from hemaloop.ingest.states import State, may_follow
from hemaloop.protocol.documents import decode
from hemaloop.protocol.sidecar import Sidecar

CHUNK = 500  # ids in one statement: SQLite takes 32,766 parameters, older ones 999
_WRITERS = 0x68656D61  # PostgreSQL's advisory lock: one writer at a time, as SQLite has it
_BUSY_SECONDS = 60

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
        ConfigError: the URL names no database that we can open.
        TransientError: the database is away, or busy for long.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _engine(url)
        with self.reading() as connection:
            ready = inspect(connection).has_table(batches.name)
        if not ready:
            with self.writing() as connection:
                metadata.create_all(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with _translated(self.url), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer overlaps: what it reads stays true until it ends."""
        with _translated(self.url), self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(select(func.pg_advisory_xact_lock(_WRITERS)))
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


def selected() -> Select[Any]:
    """A query for uploads, as `read_uploads` wants it."""
    joined = uploads.outerjoin(_original, uploads.c.original == _original.c.id).outerjoin(
        batches, uploads.c.batch == batches.c.id
    )
    return select(
        uploads,
        _original.c.key.label("original_key"),
        _original.c.sha256.label("original_sha256"),
        batches.c.revision.label("revision"),
    ).select_from(joined)


def read_uploads(connection: Connection, query: Select[Any]) -> list[Upload]:
    return [_upload(row) for row in connection.execute(query)]


def take(connection: Connection, steps: Sequence[Step], actor: str, at: datetime, by_person: bool = False) -> None:
    """Change states, and write the history of it.

    Raises:
        HemaloopError: a state may not follow the one before; nothing is changed.
    """
    before = _states(connection, [step.upload for step in steps])
    for step in steps:
        if not may_follow(before[step.upload], step.state, by_person):
            raise HemaloopError(f"upload {step.upload}: {step.state} may not follow {before[step.upload]}")
    for step in steps:
        connection.execute(
            sql_update(uploads).where(uploads.c.id == step.upload).values(state=step.state, **step.values)
        )
    record(connection, [(step.upload, step.state, step.note) for step in steps], actor, at)


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
        quarantine_key=row.quarantine_key, original=row.original_key, original_sha256=row.original_sha256,
        batch=row.batch, revision=row.revision,
    )  # fmt: skip


def _engine(url: str) -> Engine:
    # NullPool: tasks open the ledger by its address, and nothing is left open behind them.
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise ConfigError(f"ledger {url}: wanted a file: sqlite:////absolute/path/ledger.db")
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(parsed, poolclass=NullPool, connect_args={"timeout": _BUSY_SECONDS})
            event.listen(engine, "connect", _prepare_sqlite)
            return engine
        return create_engine(parsed, poolclass=NullPool)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(
            f"ledger {url!r}: {error}: set HEMALOOP_LEDGER to sqlite:////absolute/path/ledger.db "
            "or postgresql+psycopg://user@host/database"
        ) from error


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN IMMEDIATE ourselves, before the first read
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise TransientError(
            f"ledger {make_url(url).render_as_string()}: {error.orig}: is the database up, and its folder writable?"
        ) from error
