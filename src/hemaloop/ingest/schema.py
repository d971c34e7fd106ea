"""The ledger's tables as they are now; migrations/ says how they came to be so."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
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

# Of all that a device reported: columns of `devices`.
SUMS = (
    "reports", "uploaded", "classified", "unreadable", "failures", "dropped", "refused_updates",
    "frames", "sent", "sent_bytes", "every_bytes",
)  # fmt: skip

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
    Column("received_at", UtcTime, index=True),  # by the store's clock; none: not added up yet
    Column("heard", Boolean),  # added up in the hours below; none: not yet
    Index("reports_unheard", "received_at", sqlite_where=text("heard IS NULL"), postgresql_where=text("heard IS NULL")),
)

# What devices said in an hour of the store's clock, while they ran one version: fleet/hearing.py.
heard_hours = Table(
    "heard_hours",
    metadata,
    Column("device", String, primary_key=True),
    Column("channel", String, primary_key=True),
    Column("version", BigInteger, primary_key=True),  # 0: the device had no model
    Column("hour", UtcTime, primary_key=True),
    Column("first", UtcTime, nullable=False),
    Column("last", UtcTime, nullable=False),
    Column("reports", BigInteger, nullable=False),
    Column("latency_ms", Float),  # of the newest report that has one
    Column("latency_at", UtcTime),
    Index("heard_hours_by_channel", "channel", "hour"),
    Index("heard_hours_by_hour", "hour"),
)

heard_counts = Table(
    "heard_counts",
    metadata,
    Column("device", String, primary_key=True),
    Column("channel", String, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("hour", UtcTime, primary_key=True),
    Column("kind", String, primary_key=True),  # as of `counts`, and one more
    Column("name", String, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Index("heard_counts_by_hour", "hour"),
)

# Reports that were not believed or not understood: not read again until they, or those who read them, change.
refused_reports = Table(
    "refused_reports",
    metadata,
    Column("key", String, primary_key=True),
    Column("device", String, nullable=False, index=True),
    Column("etag", String, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reader", String, nullable=False),  # the version of hemaloop that refused it
)

# When a device's reports were last listed as a whole.
report_looks = Table(
    "report_looks",
    metadata,
    Column("bucket", String, primary_key=True),
    Column("device", String, primary_key=True),
    Column("at", UtcTime, nullable=False),
)

# A row a device: what its newest report says, and the sums of all of them.
devices = Table(
    "devices",
    metadata,
    Column("device", String, primary_key=True),
    Column("first_seen", UtcTime, nullable=False),  # by the store's clock, as is last_seen
    Column("last_seen", UtcTime, nullable=False),
    Column("newest", UtcTime, nullable=False),  # when the newest report was written, as far as its clock is believed
    Column("newest_key", String, nullable=False),
    Column("clock_ahead_s", Float, nullable=False),  # of the store's, when the newest report came
    Column("agent", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("version", BigInteger),
    Column("self_test", Text, nullable=False),
    Column("probation", Text, nullable=False),
    Column("latency_ms", Float),  # of the newest report that has one
    *(Column(name, BigInteger, nullable=False) for name in SUMS),
)

# What devices count, an hour at a time. Kinds: fleet/sums.py.
counts = Table(
    "counts",
    metadata,
    Column("device", String, primary_key=True),
    Column("version", BigInteger, primary_key=True),  # 0: the device had no model
    Column("hour", UtcTime, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Index("counts_by_hour", "hour"),
    Index("counts_by_version", "version", "hour"),
)

# What models answered, so that an answer can be followed to its upload and its model.
answers = Table(
    "answers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", String, nullable=False),
    Column("capture", String, nullable=False),  # the last part of its key, without suffix
    Column("key", String, nullable=False, index=True),  # of the upload, where it was uploaded
    Column("version", BigInteger, nullable=False),
    Column("label", String, nullable=False),
    Column("probability", Float, nullable=False),
    Column("report", ForeignKey("reports.key"), nullable=False, index=True),
    Index("answers_by_capture", "device", "capture"),
)

# Updates that devices did not trust, or that failed on them.
refused_updates = Table(
    "refused_updates",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", String, nullable=False, index=True),
    Column("at", UtcTime, nullable=False, index=True),  # of the report, as far as its clock is believed
    Column("version", BigInteger),
    Column("reason", Text, nullable=False),
)

# What a model answered on its test images, and what those showed: what its answers in the field are compared with.
model_references = Table(
    "model_references",
    metadata,
    Column("version", BigInteger, primary_key=True),
    Column("body", Text, nullable=False),  # JSON of fleet.shifts.Reference
)

# What was found amiss in the field, from when to when.
alarms = Table(
    "alarms",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("subject", String, nullable=False),  # device:<name> or version:<number>
    Column("kind", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("closed_at", UtcTime, index=True),
    Column("told_at", UtcTime),  # when the retrain flow was asked for; none: not yet
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
