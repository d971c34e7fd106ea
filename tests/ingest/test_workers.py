"""Several workers, real processes, on one ledger: killed or not, each change is made once."""

import fcntl
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TextIO

import pytest
from ledger_site import small_site
from ledger_worker import work

from hemaloop.ingest.claims import claimant
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.records import Trace
from hemaloop.ingest.states import State
from hemaloop.storage import Bucket

WORKER = Path(__file__).with_name("ledger_worker.py")
UPLOADS = 60
PICTURES = UPLOADS // 2
REFUSED = 2 * sum((2 * picture + 1) % 7 == 0 for picture in range(PICTURES))

# What happens to an upload after its last claim, once each: (state, how its note begins).
SEALED = (State.ACCEPTED, "sealed")
ENDS = {
    State.VERSIONED: [(State.ACCEPTED, ""), SEALED, (State.VERSIONED, "in")],
    State.DUPLICATE: [(State.DUPLICATE, "the"), (State.DUPLICATE, "sealed"), (State.DUPLICATE, "its")],
    State.QUARANTINED: [(State.QUARANTINED, "too_dark")],
}


def start(ledger: Ledger, bucket: Bucket, claims: Path, *death: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(WORKER), ledger.url, bucket.url, str(claims), *death])


# A worker's first commits: claimed, settled, sealed, a batch claimed, versioned.
DEATHS = [("2", "before"), ("4", "after")]


@pytest.mark.slow
def test_each_upload_ends_once_though_workers_die(ledger_url: str, tmp_path: Path) -> None:
    with small_site(UPLOADS, ledger_url) as (ledger, bucket):
        claims = tmp_path / "claims"
        dying = [start(ledger, bucket, claims, *death) for death in DEATHS]
        assert [worker.wait(120) for worker in dying] == [-signal.SIGKILL, -signal.SIGKILL]
        living = start(ledger, bucket, claims)  # on the same machine: they need not wait for the leases of the dead
        work(ledger.url, bucket.url, claims)
        assert living.wait(120) == 0
        check(ledger, [trace for stored in bucket.list("uploads/") for trace in ledger.history(stored.key)])


def check(ledger: Ledger, traces: list[Trace]) -> None:
    """Every upload ended once, each picture in one batch, and the history tells just that."""
    assert ledger.counts() == {
        State.QUARANTINED: REFUSED,
        State.VERSIONED: (UPLOADS - REFUSED) // 2,
        State.DUPLICATE: (UPLOADS - REFUSED) // 2,
    }
    for trace in traces:
        changes = [(change.state, change.note) for change in trace.changes]
        assert [state for state, _ in changes].count(State.DISCOVERED) <= 2
        last_claim = max(place for place, (state, _) in enumerate(changes) if state is State.CLAIMED)
        end = ENDS[trace.upload.state]
        told = changes[last_claim + 1 :]
        assert [state for state, _ in told] == [state for state, _ in end], trace
        assert all(note.startswith(begins) for (_, note), (_, begins) in zip(told, end, strict=True)), trace
        assert trace.upload.claimed_by is None
    kept = [trace.upload for trace in traces if trace.upload.state is State.VERSIONED]
    assert max(Counter(upload.sha256 for upload in kept).values()) == 1
    assert all(upload.revision == f"commit of {upload.batch}" for upload in kept)


def test_a_worker_that_was_taken_for_dead_while_it_began_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may find its lock file between the moments when it is made and locked, and remove it."""
    lock, taken = fcntl.flock, []

    def taken_for_dead(handle: TextIO, how: int) -> None:
        if not taken:
            taken.append(Path(handle.name).unlink())
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", taken_for_dead)
    with claimant(Ledger(f"sqlite:///{tmp_path}/ledger.db"), tmp_path / "claims") as owner:
        assert taken
        assert (tmp_path / "claims" / owner).exists()
