"""Sums by the hour, for rollouts, and a retention. Earlier reports are added up when reports are next collected."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("reports", sa.Column("heard", sa.Boolean))
    unheard = sa.text("heard IS NULL")
    op.create_index("reports_unheard", "reports", ["received_at"], sqlite_where=unheard, postgresql_where=unheard)
    op.create_table(
        "heard_hours",
        *_place(),
        sa.Column("first", _TIME, nullable=False),
        sa.Column("last", _TIME, nullable=False),
        sa.Column("reports", sa.BigInteger, nullable=False),
        sa.Column("latency_ms", sa.Float),
        sa.Column("latency_at", _TIME),
    )
    op.create_index("heard_hours_by_channel", "heard_hours", ["channel", "hour"])
    op.create_index("heard_hours_by_hour", "heard_hours", ["hour"])
    op.create_table(
        "heard_counts",
        *_place(),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
    op.create_index("heard_counts_by_hour", "heard_counts", ["hour"])
    op.create_index("ix_answers_report", "answers", ["report"])


def _place() -> tuple["sa.Column[Any]", ...]:
    return (
        sa.Column("device", sa.String, primary_key=True),
        sa.Column("channel", sa.String, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("hour", _TIME, primary_key=True),
    )
