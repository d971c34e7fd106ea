"""What the device must remember through a power cut, in one SQLite file: counts, refusals, the report not yet sent.

Each thing counts once: it is added under its own name, and leaves for a report in one transaction.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from hemaloop.protocol.report import RefusedUpdate

SCHEMA = """
CREATE TABLE IF NOT EXISTS frame (name TEXT PRIMARY KEY, captured_at TEXT NOT NULL, delivered INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS event (
    kind TEXT NOT NULL, id TEXT NOT NULL, label TEXT, latency_ms REAL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS total (kind TEXT PRIMARY KEY, images INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refused (at TEXT NOT NULL, version INTEGER, reason TEXT NOT NULL, reported INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS unsent (key TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

UPLOADED = "uploaded"
CLASSIFIED = "classified"
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Counts:
    """What happened since the last report."""

    uploaded: int
    classified: dict[str, int]  # label -> images
    unreadable: int
    latency_ms: float | None  # median
    refused: tuple[RefusedUpdate, ...]


@dataclass(frozen=True)
class UnsentReport:
    key: str
    body: bytes


class Journal:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def first_seen(self, name: str, at: datetime) -> datetime:
        """When the camera first showed this frame: `at`, unless it is remembered."""
        self._db.execute("INSERT OR IGNORE INTO frame VALUES (?, ?, 0)", (name, at.isoformat()))
        row = self._db.execute("SELECT captured_at FROM frame WHERE name = ?", (name,)).fetchone()
        return datetime.fromisoformat(row[0])

    def deliver(self, name: str) -> None:
        self._db.execute("UPDATE frame SET delivered = 1 WHERE name = ?", (name,))

    def is_delivered(self, name: str) -> bool:
        row = self._db.execute("SELECT delivered FROM frame WHERE name = ?", (name,)).fetchone()
        return bool(row and row[0])

    def count(self, kind: str, capture: str, label: str | None = None, latency_ms: float | None = None) -> None:
        """Count a capture as uploaded, classified or unreadable; a second time is ignored."""
        with self._transaction():
            added = self._db.execute(
                "INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?)", (kind, capture, label, latency_ms)
            ).rowcount
            self._db.execute(
                "INSERT INTO total VALUES (?, ?) ON CONFLICT DO UPDATE SET images = images + ?", (kind, added, added)
            )

    def has_counted(self, kind: str, capture: str) -> bool:
        row = self._db.execute("SELECT 1 FROM event WHERE kind = ? AND id = ?", (kind, capture)).fetchone()
        return row is not None

    def total(self, kind: str) -> int:
        """Images in the device's whole life."""
        row = self._db.execute("SELECT images FROM total WHERE kind = ?", (kind,)).fetchone()
        return int(row[0]) if row else 0

    def refuse(self, refused: RefusedUpdate) -> None:
        """Keep a refusal until it is reported; the same one, refused each minute, is reported once."""
        same = self._db.execute(
            "SELECT 1 FROM refused WHERE NOT reported AND version IS ? AND reason = ?",
            (refused.version, refused.reason),
        ).fetchone()
        if not same:
            self._db.execute(
                "INSERT INTO refused VALUES (?, ?, ?, 0)", (refused.at.isoformat(), refused.version, refused.reason)
            )

    def refusals(self, last: int = 20) -> tuple[RefusedUpdate, ...]:
        """The latest refusals, reported or not, oldest first."""
        rows = self._db.execute("SELECT at, version, reason FROM refused ORDER BY rowid DESC LIMIT ?", (last,))
        return tuple(_refused(row) for row in reversed(rows.fetchall()))

    def close_report(self, write: Callable[[Counts], UnsentReport]) -> UnsentReport:
        """Move everything counted so far into a report that waits to be sent, all or nothing."""
        with self._transaction():
            report = write(self._counts())
            self._db.execute("INSERT INTO unsent VALUES (?, ?)", (report.key, report.body))
            self._db.execute("DELETE FROM event")
            self._db.execute("UPDATE refused SET reported = 1")
        return report

    def unsent(self) -> UnsentReport | None:
        row = self._db.execute("SELECT key, body FROM unsent ORDER BY key LIMIT 1").fetchone()
        return UnsentReport(row[0], bytes(row[1])) if row else None

    def sent(self, key: str) -> None:
        self._db.execute("DELETE FROM unsent WHERE key = ?", (key,))

    def note(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, value))

    def noted(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def _counts(self) -> Counts:
        rows = self._db.execute("SELECT kind, label, latency_ms FROM event").fetchall()
        classified: dict[str, int] = {}
        for _, label, _ in (row for row in rows if row[0] == CLASSIFIED):
            classified[label] = classified.get(label, 0) + 1
        latencies = [row[2] for row in rows if row[2] is not None]
        refused = self._db.execute("SELECT at, version, reason FROM refused WHERE NOT reported ORDER BY rowid")
        return Counts(
            uploaded=sum(row[0] == UPLOADED for row in rows),
            classified=classified,
            unreadable=sum(row[0] == UNREADABLE for row in rows),
            latency_ms=median(latencies) if latencies else None,
            refused=tuple(_refused(row) for row in refused),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _refused(row: tuple[str, int | None, str]) -> RefusedUpdate:
    return RefusedUpdate(datetime.fromisoformat(row[0]), row[1], row[2])
