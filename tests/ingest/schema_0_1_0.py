"""The ledger's tables as version 0.1.0 made them, to be migrated."""

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
    Column("quarantine_key", String),
    Column("original", ForeignKey("uploads.id")),  # of a duplicate
    Column("batch", ForeignKey("batches.id")),
    UniqueConstraint("bucket", "key", "etag"),
    Index("uploads_by_state", "state", "batch"),
    Index("uploads_by_sha256", "sha256"),
    Index("uploads_by_batch", "batch"),
    Index("uploads_by_claim", "claimed_by"),
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

# Bands of the accepted images' perceptual hashes: near-duplicates share at least one.
fingerprints = Table(
    "fingerprints",
    metadata,
    Column("bits", Integer, primary_key=True),
    Column("band", Integer, primary_key=True),
    Column("value", String, primary_key=True),  # hexadecimal: a band of 64 bits is no SQL integer
    Column("upload", ForeignKey("uploads.id"), primary_key=True),
)

batches = Table(
    "batches",
    metadata,
    Column("id", String, primary_key=True),
    Column("sealed_at", UtcTime, nullable=False),
    Column("images", Integer, nullable=False),
    Column("revision", String, index=True),  # the git commit, once versioned
    Column("versioned_at", UtcTime),
)

reports = Table(
    "reports",
    metadata,
    Column("key", String, primary_key=True),
    Column("device", String, nullable=False, index=True),
    Column("body", Text, nullable=False),
)
