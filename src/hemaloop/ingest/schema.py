"""The ledger's tables as they are now; migrations/ says how they came to be so."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class UtcTime(TypeDecorator[datetime]):
    """SQLite forgets time zones; PostgreSQL answers in its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

uploads = Table(
    "uploads",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("bucket", String, nullable=False),
    Column("key", String, nullable=False),
    Column("etag", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("modified", UtcTime, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False, default=""),
    Column("claimed_by", String),
    Column("lease_until", UtcTime),
    Column("sha256", String),
    Column("phash", String),
    Column("measures", Text),  # JSON of imaging.measure.Measures
    Column("sidecar", Text),  # JSON of protocol.sidecar.Sidecar
    Column("sidecar_etag", String),  # of the sidecar that was last listed beside it and seen to: another one is news
    Column("patient", String),  # the sidecar's pseudonym, to find all of one person's
    Column("stored_key", String),  # where the bytes to version are, if not at `key`: a copy without private metadata
    Column("sent_sha256", String),  # of what the device sent, where that copy is what is kept
    Column("quarantine_key", String),
    Column("quarantined_at", UtcTime),
    Column("original", ForeignKey("uploads.id")),  # of a duplicate
    Column("batch", ForeignKey("batches.id")),
    UniqueConstraint("bucket", "key", "etag"),
    Index("uploads_by_state", "state", "batch", "key"),  # what is next, in order of keys, without reading the rest
    Index("uploads_by_sha256", "sha256"),
    Index("uploads_by_batch", "batch"),
    Index("uploads_by_claim", "claimed_by"),
    Index("uploads_by_patient", "patient"),
    Index("uploads_by_original", "original"),
)

history = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("upload", ForeignKey("uploads.id"), nullable=False, index=True),
    Column("at", UtcTime, nullable=False),
    Column("state", String, nullable=False),  # after the change
    Column("actor", String, nullable=False),  # a run, or a person
    Column("note", Text, nullable=False),
)

# Bands of the accepted images' perceptual hashes: near-duplicates have one in which they hardly differ.
fingerprints = Table(
    "fingerprints",
    metadata,
    Column("band", Integer, primary_key=True),
    Column("value", Integer, primary_key=True),
    Column("upload", ForeignKey("uploads.id"), primary_key=True),
    Column("phash", BigInteger, nullable=False),  # as a signed number: a look-up reads this table alone
    sqlite_with_rowid=False,
)

batches = Table(
    "batches",
    metadata,
    Column("id", String, primary_key=True),
    Column("sealed_at", UtcTime, nullable=False),
    Column("images", Integer, nullable=False),
    Column("revision", String, index=True),  # the git commit, once versioned
    Column("versioned_at", UtcTime),
    Column("claimed_by", String),  # the run that versions it
    Column("lease_until", UtcTime),
)

# Full listings of the bucket, newest last: when, how much, and what the polls between had missed.
reconciliations = Table(
    "reconciliations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("bucket", String, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),  # none: it was cut short
    Column("lists", Integer, nullable=False, default=0),  # LIST requests
    Column("objects", Integer, nullable=False, default=0),
    Column("entered", Integer, nullable=False, default=0),
    Column("missed", Integer, nullable=False, default=0),  # of those, in places that no poll lists
    Column("lone_sidecars", Integer, nullable=False, default=0),  # whose image has not come
)

# Consent that was withdrawn: nothing of these comes in again. Hashes, so that no pseudonym is kept.
tombstones = Table(
    "tombstones",
    metadata,
    Column("kind", String, primary_key=True),  # image | patient
    Column("sha256", String, primary_key=True),  # of the image's bytes, or of the pseudonym
    Column("at", UtcTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
)

# Objects that are to leave the bucket: entered with the change of state that asks for it, deleted after that.
removals = Table(
    "removals",
    metadata,
    Column("upload", ForeignKey("uploads.id"), primary_key=True),
    Column("key", String, primary_key=True),
    Column("sha256", String),  # of what is to go: an object with other content stays; none: whatever is there goes
)

# What devices say back; a report is taken once.
reports = Table(
    "reports",
    metadata,
    Column("key", String, primary_key=True),
    Column("device", String, nullable=False, index=True),
    Column("body", Text, nullable=False),  # the report's JSON, as the device wrote it
)

# Rounds of ingest, as they were judged.
rounds = Table(
    "rounds",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", UtcTime, nullable=False, index=True),
    Column("uploads", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("suspect", Text, nullable=False),  # what is wrong with it as a whole; "" where nothing is
    Column("docs", String, nullable=False),  # key of its page of Data Docs
)
