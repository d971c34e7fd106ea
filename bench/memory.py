"""Memory of the ingest flow, at few uploads and at many. python -m bench.memory [--quick | --huge]

Each count runs in a process of its own, with its own Prefect server beside it, on a bucket that is a folder, all the
way into git and DVC. The figures are the largest resident set of the process that runs the flow, and the largest sum of
it and all that it starts (measurers, DVC, git), where pages that they share count for each.
"""

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.peak import family_peak, peak_mb
from bench.ratio import Ratio
from bench.table import show

LARGEST_MB = 1500.0
GOAL = 1.25  # of the memory at the fewest: a round is full there too
QUICK, FULL, HUGE = (300, 1200), (2000, 10_000), (2000, 100_000)  # uploads
QUICK_ROUND = 300  # images in a batch, so that the quick one has rounds too


def run(quick: bool = False, huge: bool = False) -> list[Ratio]:
    few, many = QUICK if quick else HUGE if huge else FULL
    at_few, at_many = (_peaks(count, quick) for count in (few, many))
    return [
        ratio
        for name, of in (("peak_mb", "the flow"), ("family_mb", "the flow and the processes that it starts"))
        for ratio in (
            Ratio(f"peak MB of {of}, {many:,} uploads", at_many[name], at_few[name], f"MB, {few:,} uploads", GOAL),
            Ratio(f"peak MB of {of}, {many:,} uploads", at_many[name], LARGEST_MB, "MB allowed", 1.0),
        )
    ]


def _peaks(count: int, quick: bool) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", "-m", "bench.memory", str(count), *(["--quick"] if quick else [])]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])["mb"]
    return found


def _measure(count: int, quick: bool) -> None:
    from bench.flow import prefect_server, variables
    from bench.ingesting import PARAMS
    from drill.site import make_origin
    from hemaloop.config import read_settings
    from hemaloop.embedded import environment
    from hemaloop.ingest.ledger import Ledger

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        origin = make_origin(folder)
        params = folder / "params.yaml"
        smaller = f"batch_images: {QUICK_ROUND}" if quick else "batch_images: 2000"
        params.write_text(PARAMS.read_text().replace("batch_images: 2000", smaller, 1))
        _fill(folder / "bucket", count)
        places = {"HEMALOOP_HOME": f"{place}/home", "HEMALOOP_BUCKET": f"file://{place}/bucket"}
        settings = read_settings(places | {"HEMALOOP_REPOSITORY": str(origin)})
        with prefect_server(), environment(variables(settings)):
            from flows.ingest import ingest

            with family_peak() as family:
                ingest(str(params))
        counts = {str(state): number for state, number in Ledger(settings.ledger).counts().items()}
    found = {"peak_mb": peak_mb(), "family_mb": family[0]}
    print(json.dumps({"uploads": count, "mb": found, "states": counts}))  # noqa: T201


def _fill(bucket: Path, count: int) -> None:
    """Small pictures, each with its sidecar, as if devices had sent them today."""
    import hashlib

    from bench.images import speckles
    from hemaloop.protocol.documents import encode
    from hemaloop.protocol.keys import UploadKey, sidecar_key
    from hemaloop.protocol.sidecar import Sidecar

    noon = datetime.now(UTC).replace(hour=12)
    for number in range(count):
        data, device = speckles(number), f"pi-{number % 4}"
        path = bucket / str(UploadKey(device, noon.date(), f"field-{number:06d}"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        at = noon + timedelta(seconds=number)
        sidecar = Sidecar(hashlib.sha256(data).hexdigest(), device, at, slide=f"s-{number // 50}")
        Path(sidecar_key(str(path))).write_bytes(encode(sidecar))


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1].isdigit():
        _measure(int(sys.argv[1]), "--quick" in sys.argv)
    else:
        show(run("--quick" in sys.argv, "--huge" in sys.argv))
