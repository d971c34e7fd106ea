"""From the spool to the bucket."""

import time
from collections.abc import Iterator
from datetime import datetime

from hemaloop.device.capture.budget import Budget
from hemaloop.device.capture.spool import Spool, Spooled
from hemaloop.device.home import Clock
from hemaloop.device.journal import SENT, UPLOADED, Journal
from hemaloop.device.transport import Transport
from hemaloop.protocol.keys import sidecar_key

LAST_UPLOAD = "last_upload"  # the journal's note
BUDGET_SPENT = "budget_spent"  # the journal's note: since when images wait for the next hour or day


def upload(
    spool: Spool, journal: Journal, transport: Transport, budget: Budget, clock: Clock, seconds: float | None
) -> Iterator[None]:
    """Images, oldest first, as far as the budget pays and for `seconds` at most; yields after each."""
    until = None if seconds is None else time.monotonic() + seconds
    journal.note(BUDGET_SPENT, "")
    for spooled in spool.to_upload():
        if until is not None and time.monotonic() > until:
            return
        if not journal.has_counted(UPLOADED, spooled.capture):
            size = spooled.image.stat().st_size + spooled.sidecar.stat().st_size
            if not budget.pays(size):
                journal.note(BUDGET_SPENT, _second(clock()))
                return
            budget.spend(size)
            _send(spooled, journal, transport)
            journal.note(LAST_UPLOAD, _second(clock()))
        spool.uploaded(spooled)
        yield


def _send(spooled: Spooled, journal: Journal, transport: Transport) -> None:
    """The image first, then its sidecar, which marks the upload complete."""
    key, image = spooled.key(), spooled.image.read_bytes()
    transport.put(key, image)
    transport.put(sidecar_key(key), spooled.sidecar.read_bytes())
    journal.count_bytes(SENT, spooled.capture, len(image))
    journal.count(UPLOADED, spooled.capture)


def _second(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
