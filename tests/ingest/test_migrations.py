"""The schema: an old ledger is brought up to date with all its rows, at once or not at all."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import schema_0_1_0 as old
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, Table, create_engine, event, func, select, text

from hemaloop.errors import ConfigError
from hemaloop.ingest.duplicates import Picture, find_originals
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.migrations import HEAD, scripts
from hemaloop.ingest.schema import fingerprints, metadata
from hemaloop.ingest.states import State

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SIDECAR = """{"sha256":"%s","device":"pi-1","captured_at":"2026-11-20T09:00:00+00:00","patient":"p-7"}"""
UPLOAD = {"bucket": "s3://b", "etag": "e", "size": 10, "modified": NOW, "reason": ""}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes addresses of databases without any table."""
    if request.param == "postgresql":
        found: Callable[[], str] = request.getfixturevalue("postgres").new_database
        return found
    numbers = iter(range(99))
    return lambda: f"sqlite:///{tmp_path}/{next(numbers)}.db"


def fill_old_ledger(url: str) -> dict[str, list[Any]]:
    """An upload in each state, as version 0.1.0 left them; the rows of each table."""
    engine = create_engine(url)
    old.metadata.create_all(engine)
    batch = {"id": "b1", "sealed_at": NOW, "images": 1, "revision": "c0ffee", "versioned_at": NOW}
    found = [
        {"state": "versioned", "phash": "0" * 16, "sha256": "a" * 64, "batch": "b1", "sidecar": SIDECAR % ("a" * 64)},
        {"state": "accepted", "phash": "0f" * 8, "sha256": "b" * 64},
        {"state": "duplicate", "phash": "0" * 15 + "1", "sha256": "c" * 64, "original": 1, "batch": "b1"},
        {"state": "quarantined", "phash": "f0" * 8, "sha256": "d" * 64, "quarantine_key": "quarantine/k4"},
        {"state": "claimed", "claimed_by": "dead", "lease_until": NOW},
        {"state": "discovered"},
    ]
    with engine.begin() as connection:
        connection.execute(old.batches.insert(), [batch])
        for number, row in enumerate(found, start=1):
            connection.execute(old.uploads.insert(), [{"key": f"uploads/k{number}", **UPLOAD, **row}])
            for minutes, state in enumerate(["discovered", "claimed", row["state"]]):
                change = {"at": NOW + timedelta(minutes=minutes), "state": state, "actor": "run", "note": ""}
                connection.execute(old.history.insert(), [{"upload": number, **change}])
        bands = [{"bits": 6, "band": band, "value": "0", "upload": 1} for band in range(7)]
        connection.execute(old.fingerprints.insert(), bands)
        connection.execute(old.reports.insert(), [{"key": "reports/1", "device": "pi-1", "body": "{}"}])
        kept = (old.uploads, old.history, old.batches, old.reports)
        rows = {table.name: rows_of(connection, table) for table in kept}
    engine.dispose()
    return rows


def rows_of(connection: Any, table: Table) -> list[Any]:
    return list(connection.execute(select(table).order_by(*table.primary_key.columns)).all())


def differences(url: str) -> list[Any]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = list(compare_metadata(MigrationContext.configure(connection), metadata))
    engine.dispose()
    return found


def test_an_old_ledger_keeps_every_row_and_gets_what_is_new(new_database: Callable[[], str]) -> None:
    before = fill_old_ledger(url := new_database())
    ledger = Ledger(url)
    with ledger.reading() as connection:
        assert {name: rows_of(connection, old.metadata.tables[name]) for name in before} == before
        assert connection.scalar(select(func.count()).select_from(fingerprints)) == 3 * 2  # bands of what was kept
        again = Picture(99, "e" * 64, "0" * 15 + "3")
        assert find_originals(connection, [again], 6)[99].upload == 1
    first, *_, fourth, _, _ = (ledger.history(f"uploads/k{number}")[0].upload for number in range(1, 7))
    assert (first.patient, first.revision, first.quarantined_at) == ("p-7", "c0ffee", None)
    assert (fourth.state, fourth.quarantined_at) == (State.QUARANTINED, NOW + timedelta(minutes=2))
    assert differences(url) == []


def test_a_new_ledger_has_the_schema_that_the_code_says(new_database: Callable[[], str]) -> None:
    Ledger(url := new_database())
    assert differences(url) == []


@pytest.mark.parametrize("is_old", [False, True], ids=["new", "old"])
def test_whoever_opens_it_first_migrates_and_the_others_wait(new_database: Callable[[], str], is_old: bool) -> None:
    url = new_database()
    before = fill_old_ledger(url) if is_old else {}
    together = Barrier(6)

    def open_it(_: int) -> dict[State, int]:
        together.wait()
        return Ledger(url).counts()

    with ThreadPoolExecutor(6) as pool:
        assert [sum(counts.values()) for counts in pool.map(open_it, range(6))] == [len(before.get("uploads", []))] * 6
    assert differences(url) == []


def test_what_fails_on_the_way_changes_nothing(new_database: Callable[[], str]) -> None:
    before = fill_old_ledger(url := new_database())
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE uploads SET sidecar = 'not JSON' WHERE id = 6"))
    with pytest.raises(ValueError, match="Expecting value"):
        Ledger(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE uploads SET sidecar = NULL WHERE id = 6"))
        assert {name: rows_of(connection, old.metadata.tables[name]) for name in before} == before
        assert connection.scalar(select(func.count()).select_from(old.fingerprints)) == 7
    engine.dispose()
    assert sum(Ledger(url).counts().values()) == 6


def test_a_newer_ledger_is_refused_and_left_alone(new_database: Callable[[], str]) -> None:
    Ledger(url := new_database())
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match=r"schema is 9999, .* install that version"):
        Ledger(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    engine.dispose()


def test_opening_a_current_ledger_is_one_read(new_database: Callable[[], str]) -> None:
    Ledger(url := new_database())
    statements: list[str] = []

    def heard(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", heard)
    try:
        Ledger(url)
    finally:
        event.remove(Engine, "before_cursor_execute", heard)
    assert [statement for statement in statements if "pg_catalog" not in statement and "show" not in statement] == [
        "SELECT version_num FROM alembic_version"
    ]


def test_the_last_migration_is_the_one_that_the_code_wants() -> None:
    assert scripts().get_heads() == [HEAD]
