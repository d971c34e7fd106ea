"""The schema of version 0.1.0, which had no migrations: what is there already stays."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_batches()
    _create_uploads()
    _create_history()
    _create_fingerprints()
    _create_reports()


def _create_batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("sealed_at", _TIME, nullable=False),
        sa.Column("images", sa.Integer, nullable=False),
        sa.Column("revision", sa.String),
        sa.Column("versioned_at", _TIME),
        if_not_exists=True,
    )
    op.create_index("ix_batches_revision", "batches", ["revision"], if_not_exists=True)


def _create_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("bucket", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("etag", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("modified", _TIME, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("claimed_by", sa.String),
        sa.Column("lease_until", _TIME),
        sa.Column("sha256", sa.String),
        sa.Column("phash", sa.String),
        sa.Column("measures", sa.Text),
        sa.Column("sidecar", sa.Text),
        sa.Column("quarantine_key", sa.String),
        sa.Column("original", sa.Integer, sa.ForeignKey("uploads.id")),
        sa.Column("batch", sa.String, sa.ForeignKey("batches.id")),
        sa.UniqueConstraint("bucket", "key", "etag"),
        if_not_exists=True,
    )
    op.create_index("uploads_by_state", "uploads", ["state", "batch"], if_not_exists=True)
    op.create_index("uploads_by_sha256", "uploads", ["sha256"], if_not_exists=True)
    op.create_index("uploads_by_batch", "uploads", ["batch"], if_not_exists=True)
    op.create_index("uploads_by_claim", "uploads", ["claimed_by"], if_not_exists=True)


def _create_history() -> None:
    op.create_table(
        "history",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("upload", sa.Integer, sa.ForeignKey("uploads.id"), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_history_upload", "history", ["upload"], if_not_exists=True)


def _create_fingerprints() -> None:
    op.create_table(
        "fingerprints",
        sa.Column("bits", sa.Integer, primary_key=True),
        sa.Column("band", sa.Integer, primary_key=True),
        sa.Column("value", sa.String, primary_key=True),
        sa.Column("upload", sa.Integer, sa.ForeignKey("uploads.id"), primary_key=True),
        if_not_exists=True,
    )


def _create_reports() -> None:
    op.create_table(
        "reports",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_reports_device", "reports", ["device"], if_not_exists=True)
