"""What the device must remember through a power cut, in one SQLite file: counts, refusals, the report not yet sent.

Each thing counts once: it is added under its own name, and leaves for a report in one transaction.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from urllib.parse import quote

from hemaloop.device.disk import explain
from hemaloop.protocol.report import CONFIDENCE_BINS, Answer, RefusedUpdate, ShadowRun, Traffic

SCHEMA = """
CREATE TABLE IF NOT EXISTS frame (name TEXT PRIMARY KEY, captured_at TEXT NOT NULL, delivered INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS event (
    kind TEXT NOT NULL, id TEXT NOT NULL, label TEXT, latency_ms REAL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS total (kind TEXT PRIMARY KEY, images INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refused (at TEXT NOT NULL, version INTEGER, reason TEXT NOT NULL, reported INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS unsent (key TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS answer (
    capture TEXT PRIMARY KEY, version INTEGER NOT NULL, label TEXT NOT NULL, probability REAL NOT NULL);
CREATE TABLE IF NOT EXISTS beside (
    capture TEXT PRIMARY KEY, version INTEGER NOT NULL, agreed INTEGER NOT NULL, failed INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS attempt (who TEXT PRIMARY KEY, at TEXT NOT NULL, times INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS traffic (
    kind TEXT NOT NULL, id TEXT NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

UPLOADED = "uploaded"
CLASSIFIED = "classified"
UNREADABLE = "unreadable"
FAILED = "failed"  # the model, not the image, is the reason that there is no answer

# Of the traffic.
SHOWN, SENT, DROPPED = "shown", "sent", "dropped"
NOTHING_NEW, OUT_OF_FOCUS = "nothing new", "out of focus"

MOST_ANSWERS = 1000  # in one report; the rest goes with the next
_MOST = (MOST_ANSWERS,)
SAME_REFUSAL = timedelta(hours=1)  # in which the same refusal counts once

_MICROSECOND = timedelta(microseconds=1)  # what a report's key tells apart
REPORTED_AT = "reported_at"  # the note of the last report's time
STANDSTILL = timedelta(seconds=1)  # a clock that was set back by less is taken for one that stands still


@dataclass(frozen=True)
class Counts:
    """What happened since the last report."""

    uploaded: int
    classified: dict[str, int]  # label -> images
    unreadable: int
    latency_ms: float | None  # median
    refused: tuple[RefusedUpdate, ...]
    failures: int = 0
    answers: tuple[Answer, ...] = ()
    shadow: ShadowRun | None = None
    traffic: Traffic | None = None
    dropped: int = 0

    @property
    def confidence(self) -> tuple[int, ...]:
        """Answers in each bin of their probability; () without any."""
        bins = [0] * CONFIDENCE_BINS
        for answer in self.answers:
            bins[min(int(answer.probability * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)] += 1
        return tuple(bins) if self.answers else ()


@dataclass(frozen=True)
class UnsentReport:
    key: str
    body: bytes


class Journal:
    def __init__(self, path: Path) -> None:
        """Raises: TransientError: the disk is full or read-only."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA)
        except sqlite3.OperationalError as error:
            self._db.close()
            raise explain(error, path.parent) from error

    @classmethod
    def as_it_lies(cls, path: Path) -> "Journal":
        """To be read alone, from a disk that nobody can write to."""
        journal = cls.__new__(cls)
        journal._db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
        return journal

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
            self._count(kind, capture, label, latency_ms)

    def count_answer(self, capture: str, answer: Answer, latency_ms: float) -> None:
        """Count a capture as classified, and keep what was said of it; a second time is ignored."""
        with self._transaction():
            self._count(CLASSIFIED, capture, answer.label, latency_ms)
            self._db.execute(
                "INSERT OR IGNORE INTO answer VALUES (?, ?, ?, ?)",
                (answer.capture, answer.version, answer.label, answer.probability),
            )

    def count_beside(self, capture: str, version: int, agreed: bool, failed: bool = False) -> None:
        """What the shadow did with a capture; the last word holds."""
        self._db.execute("INSERT OR REPLACE INTO beside VALUES (?, ?, ?, ?)", (capture, version, agreed, failed))

    def attempt(self, who: str, at: str) -> None:
        """Something begins that may not be survived; it is the same attempt again where `at` is the same."""
        self._db.execute(
            "INSERT INTO attempt VALUES (?, ?, 1) ON CONFLICT DO UPDATE"
            " SET times = CASE WHEN at = excluded.at THEN times + 1 ELSE 1 END, at = excluded.at",
            (who, at),
        )

    def survived(self, who: str) -> None:
        self._db.execute("DELETE FROM attempt WHERE who = ?", (who,))

    def deaths(self, who: str, at: str) -> int:
        """How often in a row what began there did not come to an end."""
        row = self._db.execute("SELECT times FROM attempt WHERE who = ? AND at = ?", (who, at)).fetchone()
        return int(row[0]) if row else 0

    def count_bytes(self, kind: str, capture: str, amount: int) -> None:
        """Count a frame and its bytes as shown, sent, dropped or not sent; a second time is ignored."""
        with self._transaction():
            added = self._db.execute("INSERT OR IGNORE INTO traffic VALUES (?, ?, ?)", (kind, capture, amount)).rowcount
            self._add(kind, added)
            self._add(f"{kind} bytes", added * amount)

    def has_counted(self, kind: str, capture: str) -> bool:
        row = self._db.execute("SELECT 1 FROM event WHERE kind = ? AND id = ?", (kind, capture)).fetchone()
        return row is not None

    def total(self, kind: str) -> int:
        """Images in the device's whole life."""
        row = self._db.execute("SELECT images FROM total WHERE kind = ?", (kind,)).fetchone()
        return int(row[0]) if row else 0

    def refuse(self, refused: RefusedUpdate) -> None:
        """Keep a refusal until it is reported; the same one, refused each minute, is reported once an hour."""
        same = self._db.execute(
            "SELECT at FROM refused WHERE version IS ? AND reason = ? ORDER BY rowid DESC LIMIT 1",
            (refused.version, refused.reason),
        ).fetchone()
        # The distance, not the order: a clock that was set back must not silence refusals for years.
        if same and abs(refused.at - datetime.fromisoformat(same[0])) < SAME_REFUSAL:
            return
        self._db.execute(
            "INSERT INTO refused VALUES (?, ?, ?, 0)", (refused.at.isoformat(), refused.version, refused.reason)
        )

    def refusals(self, last: int = 20) -> tuple[RefusedUpdate, ...]:
        """The latest refusals, reported or not, oldest first."""
        rows = self._db.execute("SELECT at, version, reason FROM refused ORDER BY rowid DESC LIMIT ?", (last,))
        return tuple(_refused(row) for row in reversed(rows.fetchall()))

    def close_report(self, now: datetime, write: Callable[[Counts, datetime], UnsentReport]) -> UnsentReport:
        """Move everything counted so far into a report that waits to be sent, all or nothing.

        `write` gets the report's time. It is in the report's key, so two reports must not have the same: the second
        would take the first one's place in the bucket, and what that counted would be lost.
        """
        with self._transaction():
            at = self._after_the_last(now)
            report = write(self._counts(), at)
            while self._is_unsent(report.key):  # a clock that jumped back, to the microsecond
                at += _MICROSECOND
                report = write(self._counts(), at)
            self.note(REPORTED_AT, at.isoformat())
            self._db.execute("INSERT INTO unsent VALUES (?, ?)", (report.key, report.body))
            self._db.execute("DELETE FROM event")
            self._db.execute("DELETE FROM traffic")
            self._db.execute(
                "DELETE FROM answer WHERE rowid IN (SELECT rowid FROM answer ORDER BY rowid LIMIT ?)", _MOST
            )
            self._db.execute("DELETE FROM beside WHERE version IN (SELECT version FROM beside ORDER BY rowid LIMIT 1)")
            self._db.execute("UPDATE refused SET reported = 1")
        return report

    def has_news(self) -> bool:
        """Whether anything waits to be told."""
        row = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM event) OR EXISTS (SELECT 1 FROM answer) OR EXISTS (SELECT 1 FROM beside)"
            " OR EXISTS (SELECT 1 FROM refused WHERE NOT reported)"
            " OR EXISTS (SELECT 1 FROM traffic WHERE kind IN ('sent', 'dropped'))"
        ).fetchone()
        return bool(row[0])

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

    def _after_the_last(self, now: datetime) -> datetime:
        """A microsecond after the last report where the clock stands still, or was set back to just before it."""
        if (noted := self.noted(REPORTED_AT)) is None:
            return now
        last = datetime.fromisoformat(noted)
        return last + _MICROSECOND if timedelta(0) <= last - now < STANDSTILL else now

    def _is_unsent(self, key: str) -> bool:
        return self._db.execute("SELECT 1 FROM unsent WHERE key = ?", (key,)).fetchone() is not None

    def _count(self, kind: str, capture: str, label: str | None, latency_ms: float | None) -> None:
        added = self._db.execute(
            "INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?)", (kind, capture, label, latency_ms)
        ).rowcount
        self._db.execute("DELETE FROM attempt WHERE at = ?", (capture,))
        self._add(kind, added)

    def _add(self, kind: str, amount: int) -> None:
        self._db.execute(
            "INSERT INTO total VALUES (?, ?) ON CONFLICT DO UPDATE SET images = images + ?", (kind, amount, amount)
        )

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
            failures=sum(row[0] == FAILED for row in rows),
            answers=self._answers(),
            shadow=self._shadow(),
            traffic=self._traffic(),
            dropped=self._sum(DROPPED)[0],
        )

    def _traffic(self) -> Traffic | None:
        """None where no frame was shown and none sent."""
        (frames, every_bytes), (sent, sent_bytes) = self._sum(SHOWN), self._sum(SENT)
        return Traffic(frames, sent, sent_bytes, every_bytes) if frames or sent else None

    def _sum(self, kind: str) -> tuple[int, int]:
        """Frames and their bytes, since the last report."""
        row = self._db.execute("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM traffic WHERE kind = ?", (kind,))
        frames, amount = row.fetchone()
        return frames, amount

    def _answers(self) -> tuple[Answer, ...]:
        rows = self._db.execute("SELECT capture, version, label, probability FROM answer ORDER BY rowid LIMIT ?", _MOST)
        return tuple(Answer(*row) for row in rows)

    def _shadow(self) -> ShadowRun | None:
        """Of one version, the one that ran first; another's run goes with the next report."""
        row = self._db.execute(
            "SELECT version, COUNT(*), SUM(agreed), SUM(failed) FROM beside"
            " GROUP BY version ORDER BY MIN(rowid) LIMIT 1"
        ).fetchone()
        return ShadowRun(*row) if row else None

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
