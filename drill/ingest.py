"""The ingest drill: devices upload, workers take in, everything fails, and then it is counted."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drill.devices import Corpus, Device, Sent
from drill.site import ROOT, Site, site
from drill.verdict import Verdict, judge
from hemaloop.ingest.ledger import Ledger
from tasks.ingest_steps import reconcile

_FAULT_RATE = 0.06
_OUTAGE_SECONDS = 1.5
_LONGEST_SECONDS = 14.0  # a run is killed somewhere between its first moment and this
_KILLED_SHARE = 0.7
_LAST_RUNS = 60  # at most, in good weather, until nothing is left to do
_IDLE_RUNS = 2  # in a row


@dataclass(frozen=True)
class Order:
    """How hard to try."""

    rounds: int
    seed: int
    workers: int = 3
    devices: int = 4
    uploads: int = 4  # of each device, a round
    ledger: str | None = None  # SQLAlchemy URL; None: SQLite


@dataclass
class Tally:
    """What happened on the way."""

    runs: Counter[str] = field(default_factory=Counter)  # by how they ended
    sent: dict[str, Sent] = field(default_factory=dict)  # the last content of each key
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ran(self, code: int) -> None:
        with self.lock:
            self.runs[{0: "done", 75: "try again later", -9: "killed"}.get(code, f"exit {code}")] += 1


class Worker:
    """A worker's process; `machine` is its home: two on one machine share it."""

    def __init__(self, where: Site, machine: str, log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "drill.worker", str(where.params)],
                cwd=ROOT, env=os.environ | where.variables(machine), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
            )  # fmt: skip
        self._answer()

    def run(self, keys: Sequence[str], kill_after: float | None) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"keys": list(keys), "kill_after": kill_after}) + "\n")
        self._process.stdin.flush()
        return int(self._answer()["code"])

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker's process ended: exit {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found


def drill(order: Order, folder: Path, hostile: Corpus, show: Any) -> Verdict:
    """Play it; `show(words)` is told how far it is."""
    arrived: list[str] = []
    tally = Tally()
    with site(folder, order.seed, order.ledger, arrived) as where, _workers(order, where) as workers:
        devices = _devices(order, hostile)
        _upload_round(where, devices[:1], 1, tally)  # a quiet beginning: the clones are made
        tally.ran(workers[0].run([], None))
        for number in range(order.rounds):
            show(f"round {number + 1} of {order.rounds}: {len(tally.sent)} uploads, {dict(tally.runs)}")
            _round(order, where, number, devices, workers, arrived, tally)
        where.weather.rate, where.weather.away = 0.0, False
        show("good weather again: taking in what is left")
        _finish(where, workers[0], tally)
        show("counting")
        return judge(where, tuple(tally.sent.values()), dict(tally.runs), dict(where.weather.faults))


def _devices(order: Order, hostile: Corpus) -> list[Device]:
    now = datetime.now(UTC)
    return [Device(f"pi-{number}", order.seed, hostile, now) for number in range(order.devices)]


@contextmanager
def _workers(order: Order, where: Site) -> Iterator[list[Worker]]:
    """The first two share a machine; the others have one each."""
    with ExitStack() as running, ThreadPoolExecutor(order.workers) as pool:
        machines = [f"machine-{max(0, number - 1)}" for number in range(order.workers)]
        logs = [where.folder / f"worker-{number}.log" for number in range(order.workers)]
        workers = list(pool.map(lambda each: Worker(where, *each), zip(machines, logs, strict=True)))
        for worker in workers:
            running.callback(worker.end)
        yield workers


def _round(
    order: Order, where: Site, number: int, devices: Sequence[Device], workers: Sequence[Worker], arrived: list[str],
    tally: Tally,
) -> None:  # fmt: skip
    """Everything at once: uploads, runs that are killed, faults, and now and then no server at all."""
    chance = random.Random(f"{order.seed} round {number}")
    where.weather.rate = chance.choice((0.0, _FAULT_RATE, 2 * _FAULT_RATE))
    where.weather.clear()
    kills = [chance.random() * _LONGEST_SECONDS if chance.random() < _KILLED_SHARE else None for _ in workers]
    hints = [notified(arrived, chance) for _ in workers]
    with ThreadPoolExecutor(len(workers) + 2) as pool:
        uploading = pool.submit(_upload_round, where, devices, order.uploads, tally)
        outage = pool.submit(_outage, where, chance.random() * 5) if chance.random() < 0.3 else None
        running = [
            pool.submit(worker.run, *each) for worker, each in zip(workers, zip(hints, kills, strict=True), strict=True)
        ]
        for run in running:
            tally.ran(run.result())
        uploading.result()
        if outage:
            outage.result()


def notified(arrived: list[str], chance: random.Random) -> list[str]:
    """The store's notifications as they come: some lost, some twice, in any order."""
    keys = [key for key in arrived[-200:] if chance.random() > 0.3]
    keys += chance.sample(keys, len(keys) // 5)
    chance.shuffle(keys)
    return keys


def _upload_round(where: Site, devices: Sequence[Device], uploads: int, tally: Tally) -> None:
    def of(device: Device) -> None:
        for _ in range(uploads):
            sent = device.send(where.bucket, device.plan())
            with tally.lock:
                tally.sent[sent.key] = sent

    with ThreadPoolExecutor(len(devices)) as pool:
        list(pool.map(of, devices))


def _outage(where: Site, after: float) -> None:
    time.sleep(after)
    where.weather.away = True
    time.sleep(_OUTAGE_SECONDS)
    where.weather.away = False


def _finish(where: Site, worker: Worker, tally: Tally) -> None:
    """Reconcile, and run until nothing changes: claims of the dead end with their leases."""
    idle, before = 0, ""
    for _ in range(_LAST_RUNS):
        reconcile(where.settings("machine-0"), where.params)
        tally.ran(worker.run([], None))
        now = standing(where)
        idle = idle + 1 if now == before else 0
        if idle == _IDLE_RUNS and "claimed" not in now:
            return
        before = now
        time.sleep(2)


def standing(where: Site) -> str:
    return str(Ledger(where.ledger).counts())
