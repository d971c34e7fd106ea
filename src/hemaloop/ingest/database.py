"""The database behind the ledger: how it is opened, and what its errors are called here."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from hemaloop.errors import ConfigError, TransientError

_WRITERS = 0x68656D61  # PostgreSQL's advisory lock: one writer at a time, as SQLite has it
_BUSY_SECONDS = 60
_BUSY_PAUSE = 0.02  # seconds
_IDLE_SECONDS = 300  # a writer that hangs, or whose machine is gone, gives way to the others

_POSTGRES = "postgresql"


def open_engine(url: str) -> Engine:
    """Raises: ConfigError: the URL names no database that we can open."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed, url)
        options: dict[str, Any] = {}
        if parsed.get_backend_name() == _POSTGRES and "options" not in parsed.query:
            limits = {"lock_timeout": _BUSY_SECONDS, "idle_in_transaction_session_timeout": _IDLE_SECONDS}
            options["connect_args"] = {"options": " ".join(f"-c {name}={value}s" for name, value in limits.items())}
        # NullPool: tasks open the ledger by its address, and nothing is left open behind them.
        return create_engine(parsed, poolclass=NullPool, **options)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(
            f"ledger {url!r}: {error}: set HEMALOOP_LEDGER to sqlite:////absolute/path/ledger.db "
            "or postgresql+psycopg://user@host/database"
        ) from error


def begin_writing(connection: Connection) -> None:
    """Begin a transaction that no other writer overlaps; waits for the others."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == _POSTGRES:
        connection.execute(select(func.pg_advisory_xact_lock(_WRITERS)))


def shown(url: str) -> str:
    """The address without its password."""
    return make_url(url).render_as_string()


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn the driver's error into ours."""
    try:
        yield
    except OperationalError as error:
        raise TransientError(
            f"ledger {shown(url)}: {error.orig}: is the database up, and its folder writable?"
        ) from error


def _sqlite(parsed: URL, url: str) -> Engine:
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigError(f"ledger {url}: wanted a file: sqlite:////absolute/path/ledger.db")
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, poolclass=NullPool, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN IMMEDIATE ourselves, before the first read
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA cache_size=-65536")  # KiB: looking for duplicates reads all over a large index


def _write_ahead(connection: Any) -> None:
    """Ask for the write-ahead log. SQLite's own time limit does not hold here: whoever opens a new file together with
    others is told at once that it is locked."""
    last = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > last:
                raise
            time.sleep(_BUSY_PAUSE)
