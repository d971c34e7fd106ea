"""Reports as they were received, for rules that look at each of them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select

from hemaloop.ingest.ledger import CHUNK, Ledger
from hemaloop.ingest.schema import reports
from hemaloop.protocol.documents import decode
from hemaloop.protocol.report import Report


def reports_since(ledger: Ledger, since: datetime) -> Iterator[Report]:
    """What was received since then, oldest first; each with the store's time of it, not the device's own.

    Answers are left out: they have rows of their own.
    """
    query = select(reports.c.body, reports.c.received_at).where(reports.c.received_at >= since)
    with ledger.reading() as connection:
        for row in connection.execute(query.order_by(reports.c.received_at, reports.c.key)).yield_per(CHUNK):
            yield replace(decode(row.body.encode(), Report), at=row.received_at)
