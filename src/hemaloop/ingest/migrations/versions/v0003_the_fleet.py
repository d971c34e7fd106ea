"""The fleet as tables. Reports that came before are added up when reports are next collected."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TIME = sa.DateTime(timezone=True)
_SUMS = (
    "reports", "uploaded", "classified", "unreadable", "failures", "dropped", "refused_updates",
    "frames", "sent", "sent_bytes", "every_bytes",
)  # fmt: skip


def upgrade() -> None:
    op.add_column("reports", sa.Column("received_at", _TIME))
    op.create_index("ix_reports_received_at", "reports", ["received_at"])
    _create_refused_reports()
    _create_devices()
    _create_counts()
    _create_answers()
    _create_refused_updates()
    _create_alarms()


def _create_refused_reports() -> None:
    op.create_table(
        "refused_reports",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("etag", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("reader", sa.String, nullable=False),
    )
    op.create_index("ix_refused_reports_device", "refused_reports", ["device"])
    op.create_table(
        "report_looks",
        sa.Column("bucket", sa.String, primary_key=True),
        sa.Column("device", sa.String, primary_key=True),
        sa.Column("at", _TIME, nullable=False),
    )


def _create_devices() -> None:
    op.create_table(
        "devices",
        sa.Column("device", sa.String, primary_key=True),
        sa.Column("first_seen", _TIME, nullable=False),
        sa.Column("last_seen", _TIME, nullable=False),
        sa.Column("newest", _TIME, nullable=False),
        sa.Column("newest_key", sa.String, nullable=False),
        sa.Column("clock_ahead_s", sa.Float, nullable=False),
        sa.Column("agent", sa.String, nullable=False),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("version", sa.BigInteger),
        sa.Column("self_test", sa.Text, nullable=False),
        sa.Column("probation", sa.Text, nullable=False),
        sa.Column("latency_ms", sa.Float),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _SUMS),
    )


def _create_counts() -> None:
    op.create_table(
        "counts",
        sa.Column("device", sa.String, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("hour", _TIME, primary_key=True),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
    op.create_index("counts_by_hour", "counts", ["hour"])
    op.create_index("counts_by_version", "counts", ["version", "hour"])


def _create_answers() -> None:
    op.create_table(
        "answers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("capture", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("report", sa.String, sa.ForeignKey("reports.key"), nullable=False),
    )
    op.create_index("ix_answers_key", "answers", ["key"])
    op.create_index("answers_by_capture", "answers", ["device", "capture"])


def _create_refused_updates() -> None:
    op.create_table(
        "refused_updates",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("version", sa.BigInteger),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("ix_refused_updates_device", "refused_updates", ["device"])
    op.create_index("ix_refused_updates_at", "refused_updates", ["at"])


def _create_alarms() -> None:
    op.create_table(
        "model_references",
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "alarms",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("closed_at", _TIME),
        sa.Column("told_at", _TIME),
    )
    op.create_index("ix_alarms_closed_at", "alarms", ["closed_at"])
