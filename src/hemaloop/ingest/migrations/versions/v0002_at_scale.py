"""Fingerprints of fixed bands, leases of batches, reconciliations, withdrawn consent."""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from hemaloop.ingest.duplicates import index_rows

revision = "0002"
down_revision = "0001"

_TIME = sa.DateTime(timezone=True)
_CHUNK = 1000  # rows in memory at once

_uploads = sa.table(
    "uploads", *(sa.column(name) for name in ("id", "state", "phash", "sidecar", "patient", "quarantined_at"))
)
_history = sa.table("history", sa.column("upload"), sa.column("state"), sa.column("at", _TIME))
_fingerprints = sa.table("fingerprints", *(sa.column(name) for name in ("band", "value", "upload", "phash")))


def upgrade() -> None:
    _extend_uploads()
    _extend_batches()
    _create_reconciliations()
    _create_tombstones()
    _create_rounds()
    _create_removals()
    _cut_fingerprints_anew()
    _fill_uploads()


def _extend_uploads() -> None:
    op.add_column("uploads", sa.Column("patient", sa.String))
    op.add_column("uploads", sa.Column("sidecar_etag", sa.String))
    op.add_column("uploads", sa.Column("stored_key", sa.String))
    op.add_column("uploads", sa.Column("sent_sha256", sa.String))
    op.add_column("uploads", sa.Column("quarantined_at", _TIME))
    op.drop_index("uploads_by_state", "uploads")
    op.create_index("uploads_by_state", "uploads", ["state", "batch", "key"])
    op.create_index("uploads_by_patient", "uploads", ["patient"])
    op.create_index("uploads_by_original", "uploads", ["original"])


def _extend_batches() -> None:
    op.add_column("batches", sa.Column("claimed_by", sa.String))
    op.add_column("batches", sa.Column("lease_until", _TIME))


def _create_reconciliations() -> None:
    op.create_table(
        "reconciliations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("bucket", sa.String, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("lists", sa.Integer, nullable=False),
        sa.Column("objects", sa.Integer, nullable=False),
        sa.Column("entered", sa.Integer, nullable=False),
        sa.Column("missed", sa.Integer, nullable=False),
        sa.Column("lone_sidecars", sa.Integer, nullable=False),
    )


def _create_tombstones() -> None:
    op.create_table(
        "tombstones",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("sha256", sa.String, primary_key=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )


def _create_removals() -> None:
    op.create_table(
        "removals",
        sa.Column("upload", sa.Integer, sa.ForeignKey("uploads.id"), primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("sha256", sa.String),
    )


def _create_rounds() -> None:
    op.create_table(
        "rounds",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("uploads", sa.Integer, nullable=False),
        sa.Column("refused", sa.Integer, nullable=False),
        sa.Column("suspect", sa.Text, nullable=False),
        sa.Column("docs", sa.String, nullable=False),
    )
    op.create_index("ix_rounds_at", "rounds", ["at"])


def _cut_fingerprints_anew() -> None:
    """They were cut for one distance; now they serve every distance."""
    op.drop_table("fingerprints")
    op.create_table(
        "fingerprints",
        sa.Column("band", sa.Integer, primary_key=True),
        sa.Column("value", sa.Integer, primary_key=True),
        sa.Column("upload", sa.Integer, sa.ForeignKey("uploads.id"), primary_key=True),
        sa.Column("phash", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    kept = _uploads.c.state.in_(["accepted", "versioned"]) & _uploads.c.phash.is_not(None)
    for chunk in _chunks(sa.select(_uploads.c.id, _uploads.c.phash).where(kept)):
        rows = index_rows([row.id for row in chunk], [row.phash for row in chunk])
        op.get_bind().execute(_fingerprints.insert(), rows)


def _fill_uploads() -> None:
    """What the new columns say is in the sidecars and in the history."""
    of_one = sa.update(_uploads).where(_uploads.c.id == sa.bindparam("of"))
    for chunk in _chunks(sa.select(_uploads.c.id, _uploads.c.sidecar).where(_uploads.c.sidecar.is_not(None))):
        said = [{"of": row.id, "patient": json.loads(row.sidecar).get("patient")} for row in chunk]
        if rows := [row for row in said if row["patient"] is not None]:
            op.get_bind().execute(of_one.values(patient=sa.bindparam("patient")), rows)
    since = sa.select(sa.func.max(_history.c.at)).where(
        _history.c.upload == _uploads.c.id, _history.c.state == "quarantined"
    )
    quarantined = sa.update(_uploads).where(_uploads.c.state == "quarantined")
    op.execute(quarantined.values(quarantined_at=since.scalar_subquery()))


def _chunks(query: sa.Select[Any]) -> Iterator[list[sa.Row[Any]]]:
    last = 0
    while rows := list(op.get_bind().execute(query.where(_uploads.c.id > last).order_by(_uploads.c.id).limit(_CHUNK))):
        yield rows
        last = rows[-1].id
