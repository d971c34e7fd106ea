"""Ingest from S3 to `dvc add`, against only reading the same objects and decoding them. python -m bench.ingesting

The objects are the images and their sidecars: ingest must read both, so the limit reads both, with as many threads as
ingest has in a process, and decodes in them. It reads as everybody does, by s3fs: object by object with `cat_file`, as
ingest must, and in bulk with `cat`. Reading by our own plain GETs costs a third of that; it is a limit too, told last.
Not counted on either side: importing Great Expectations, once a process, and making the bot's clone, once ever.

A second row tells the same in seconds of the processor, of all our processes but not the server: on a machine that
others use too, it is the steadier one.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.images import turned_fields
from bench.ratio import Ratio, seconds
from bench.table import show
from drill.site import make_origin
from hemaloop.config import Settings, read_settings
from hemaloop.embedded import bucket_environment, open_bucket
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measuring import THREADS
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import UploadKey, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket
from tasks import ingest_steps
from tasks.ingest_plain import ingest_plain

PARAMS = Path(__file__).parent.parent / "params.yaml"
GOAL = 2.0
QUICK, FULL = 300, 2000  # images
PER_SLIDE = 20
PROCESSOR = "in seconds of the processor"


def run(quick: bool = False) -> list[Ratio]:
    import great_expectations  # noqa: F401

    told, images = turned_fields(QUICK if quick else FULL)
    with site() as settings:
        bucket = open_bucket(settings)
        keys = [upload(bucket, number, image) for number, image in enumerate(images)]
        ingest_steps.find_params(settings, None, newest=True)
        limits = [_by_s3fs(bucket, keys)]
        watched = Watched(ingest_steps)
        whole = cost(lambda: ingest_plain(settings, str(PARAMS), steps=watched))
        limits.append(_by_s3fs(bucket, keys))
        in_bulk, plain = _in_bulk(bucket, keys), _plainly(bucket, keys)
        adding = _add(settings)
        poll = seconds(lambda: ingest_plain(settings, str(PARAMS)))
        states = ", ".join(f"{count} {state}" for state, count in Ledger(settings.ledger).counts().items())
    limit, processor_limit = min(each.seconds for each in limits), min(each.processor for each in limits)
    ours = whole.seconds - watched.seconds["version"] + adding.seconds
    processor = whole.processor - watched.cpu["version"] + adding.processor
    stages = watched.shares() | {
        "dvc add, by itself": adding.seconds,
        "the whole, pushed to S3 and git": whole.seconds,
    }
    reading = "reading both by s3fs and decoding"
    return [
        Ratio(f"ingest {told} and sidecars, to dvc add ({states})", ours, limit, reading, GOAL, stages),
        Ratio(f"the same, {PROCESSOR}", processor, processor_limit, f"{reading}, {PROCESSOR}", GOAL),
        Ratio(f"ingest {told} and sidecars, to dvc add", ours, in_bulk.seconds, f"{reading}, in bulk", GOAL),
        Ratio(f"ingest {told} and sidecars, to dvc add", ours, plain.seconds, "reading by plain GETs, decoding", GOAL),
        Ratio("a poll that finds nothing", poll, limit, f"{reading} the {told}", 0.5),
    ]


@dataclass(frozen=True)
class Cost:
    seconds: float
    processor: float  # seconds of it, in this process and in those that it started and that have ended


def cost(call: Callable[[], object]) -> Cost:
    start, before = time.perf_counter(), _processor()
    call()
    return Cost(time.perf_counter() - start, _processor() - before)


def _processor() -> float:
    return sum(os.times()[:4])


class Watched:
    """The steps of ingest, and how long each took: where several run at once, the time that is passed in any."""

    def __init__(self, steps: Any) -> None:
        self._steps, self._lock = steps, threading.Lock()
        self._running: Counter[str] = Counter()
        self._began: dict[str, tuple[float, float]] = {}
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.cpu: defaultdict[str, float] = defaultdict(float)

    def __getattr__(self, name: str) -> Any:
        step = getattr(self._steps, name)
        if name == "version_all":  # it calls the others
            return step

        def timed(*args: Any, **options: Any) -> Any:
            self._begin(name)
            try:
                return step(*args, **options)
            finally:
                self._end(name)

        return timed

    def shares(self) -> dict[str, float]:
        """Seconds by step, and of the processor; measurers end, and are counted, after all steps."""
        return {f"{name} (processor {self.cpu[name]:.2f})": seconds for name, seconds in self.seconds.items()}

    def _begin(self, name: str) -> None:
        with self._lock:
            if not self._running[name]:
                self._began[name] = time.perf_counter(), _processor()
            self._running[name] += 1

    def _end(self, name: str) -> None:
        with self._lock:
            self._running[name] -= 1
            if not self._running[name]:
                start, cpu = self._began[name]
                self.seconds[name] += time.perf_counter() - start
                self.cpu[name] += _processor() - cpu


@contextmanager
def site() -> Iterator[Settings]:
    """An S3 server, a repository and a home, all new."""
    with tempfile.TemporaryDirectory() as folder:
        origin = make_origin(Path(folder))
        places = {"HEMALOOP_HOME": f"{folder}/home", "HEMALOOP_BUCKET": "embedded", "HEMALOOP_REPOSITORY": str(origin)}
        settings = read_settings(places)
        with bucket_environment(settings):
            yield settings


def upload(bucket: Bucket, number: int, image: bytes, noon: datetime | None = None) -> str:
    """What a device does, today."""
    noon = noon or datetime.now(UTC).replace(hour=12)
    key = str(UploadKey("bench", noon.date(), f"field-{number:06d}"))
    at = noon + timedelta(seconds=number)
    sidecar = Sidecar(hashlib.sha256(image).hexdigest(), "bench", at, slide=f"s-{number // PER_SLIDE}")
    bucket.write(key, image)
    bucket.write(sidecar_key(key), encode(sidecar))
    return key


def _by_s3fs(bucket: Bucket, keys: list[str]) -> Cost:
    """Of reading object by object, and decoding."""
    fs = _s3fs()
    return _each(keys, lambda key: bytes(fs.cat_file(f"{bucket.url[5:]}/{key}")))


def _plainly(bucket: Bucket, keys: list[str]) -> Cost:
    """The same, as ingest reads."""
    return _each(keys, bucket.read)


def _each(keys: list[str], read: Callable[[str], bytes]) -> Cost:
    def one(key: str) -> None:
        _decode(read(key))
        read(sidecar_key(key))

    with ThreadPoolExecutor(THREADS) as pool:
        return cost(lambda: list(pool.map(one, keys)))


def _in_bulk(bucket: Bucket, keys: list[str]) -> Cost:
    fs = _s3fs()

    def read() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            for place in range(0, len(keys), 64):
                chunk = keys[place : place + 64]
                paths = [f"{bucket.url[5:]}/{key}" for key in (*chunk, *map(sidecar_key, chunk))]
                found = fs.cat(paths)
                list(pool.map(_decode, (found[path] for path in paths[: len(chunk)])))

    return cost(read)


def _s3fs() -> Any:
    import s3fs

    return s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"])


def _add(settings: Settings) -> Cost:
    """`dvc add` of the batches that were versioned, in a repository that knows none of them."""
    with tempfile.TemporaryDirectory(dir=settings.home) as folder:
        work = Path(folder)
        _in(work, "git", "init", "-q")
        _in(work, sys.executable, "-m", "dvc", "init", "-q")
        batches = [path for path in (settings.workspace / "data/batches").iterdir() if path.is_dir()]
        content = {
            path.relative_to(settings.workspace): path.read_bytes() for each in batches for path in each.iterdir()
        }

        def add() -> None:
            for path, data in content.items():
                (work / path).parent.mkdir(parents=True, exist_ok=True)
                (work / path).write_bytes(data)
            _in(work, sys.executable, "-m", "dvc", "add", "-q", *(f"data/batches/{each.name}" for each in batches))

        return cost(add)


def _decode(data: bytes) -> None:
    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def _in(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"})


if __name__ == "__main__":
    show(run(quick="--quick" in sys.argv))
