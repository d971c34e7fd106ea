"""Finding uploads: a poll beside 100,000 old objects against beside 1,000, and a look at all of them.

Alone: python -m bench.finding [--quick]
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import update

from bench.peak import peak_mb
from bench.ratio import Ratio, compare
from hemaloop.config import read_classes, read_section
from hemaloop.embedded import environment, running
from hemaloop.ingest.entering import Finder
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.parameters import IngestParams
from hemaloop.ingest.reconciling import reconcile
from hemaloop.ingest.schema import reconciliations, uploads
from hemaloop.ingest.watch import discover
from hemaloop.protocol.keys import UploadKey, sidecar_key
from hemaloop.storage import Bucket

PARAMS = Path(__file__).parent.parent / "params.yaml"
CLASSES = read_classes(PARAMS)
DEVICES = 10
RECENT = 200  # images of the last days, known too
FEW, MANY = 1_000, 100_000
QUICK = 10_000
MEMORY_MB = 1_500


def run(quick: bool = False) -> list[Ratio]:
    many = QUICK if quick else MANY
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name, objects in (("few", FEW), ("many", many)):
            fill(home / "bucket" / name, objects)
        whole = {name: look_at_all(home, name) for name in ("few", "many")}
        ratios = [_poll_ratio(home, f"file://{home}/bucket/", many, "a folder")]
        with running(home) as server, environment(server.environment()):
            for name in ("few", "many"):
                move_ledger(_ledger(home, name), f"s3://{name}")
            ratios.append(_poll_ratio(home, "s3://", many, "S3"))
    return [*ratios, *_whole_ratios(whole["few"], whole["many"])]


def fill(root: Path, objects: int) -> None:
    """Old images with their sidecars, a hundred to a device's day, and a few of the last days."""
    today = datetime.now(UTC).date()
    for number in range(objects // 2):
        day = date(2020, 1, 1) + timedelta(days=number // 100 // DEVICES)
        _put(root, f"pi-{number // 100 % DEVICES}", day, number)
    for number in range(RECENT):
        _put(root, f"pi-{number % DEVICES}", today - timedelta(days=number % 3), number)


def _put(root: Path, device: str, day: date, number: int) -> None:
    key = str(UploadKey(device, day, f"field-{number:06d}"))
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    (root / sidecar_key(key)).touch()


def look_at_all(home: Path, name: str) -> dict[str, float]:
    """Reconcile in a process of its own: what it counted, and its peak memory in MB."""
    command = [sys.executable, "-m", "bench.finding", "reconcile", f"file://{home}/bucket/{name}", _ledger(home, name)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def _reconcile(url: str, ledger: str) -> dict[str, float]:
    finder = Finder(Ledger(ledger), Bucket(url), _params(), CLASSES, datetime.now(UTC), "bench")
    found = reconcile(finder)
    assert found.entered * 2 == found.objects, found
    return {"lists": found.lists, "objects": found.objects, "peak_mb": peak_mb()}


def move_ledger(ledger: str, url: str) -> None:
    """The same objects behind another address, so that they need not be listed there too."""
    with Ledger(ledger).writing() as connection:
        for table in (uploads, reconciliations):
            connection.execute(update(table).values(bucket=url))
    _poll(url, ledger)  # recent ones have other ETags there: once


def _poll_ratio(home: Path, prefix: str, many: int, where: str) -> Ratio:
    ours, limit = compare(
        lambda: _poll(f"{prefix}many", _ledger(home, "many")), lambda: _poll(f"{prefix}few", _ledger(home, "few")), 9
    )
    return Ratio(f"a poll on {where} beside {many:,} old objects", ours, limit, f"beside {FEW:,}", 2.0)


def _poll(url: str, ledger: str) -> int:
    return discover(Ledger(ledger), Bucket(url), _params(), CLASSES, datetime.now(UTC), "bench")


def _params() -> IngestParams:
    return replace(read_section(PARAMS, "ingest", IngestParams), settle_seconds=0)


def _ledger(home: Path, name: str) -> str:
    return f"sqlite:///{home}/{name}.db"


def _whole_ratios(few: dict[str, float], many: dict[str, float]) -> list[Ratio]:
    """LISTs and megabytes, where the table says seconds."""
    what = f"a reconciliation of {many['objects']:,.0f} objects"
    least = -(-many["objects"] // 1000)
    return [
        Ratio(f"LISTs of {what}", many["lists"], least, "one for 1,000 keys", 1.0),
        Ratio(f"MB of {what}", many["peak_mb"], MEMORY_MB, "MB that it may take", 1.0),
        Ratio(f"MB of {what}", many["peak_mb"], few["peak_mb"], f"MB at {few['objects']:,.0f}", 1.2),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["reconcile"]:
        print(json.dumps(_reconcile(*sys.argv[2:])))  # noqa: T201
    else:
        for found in run(quick="--quick" in sys.argv):
            print(f"{found.name}: {found.ours:.3f} / {found.limit:.3f} = {found.ratio:.2f}, goal {found.goal:g}")  # noqa: T201
