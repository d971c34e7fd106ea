"""Discover, claim, read, measure, judge and settle against only reading and decoding the same objects."""

import hashlib
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from bench.images import fields
from bench.ratio import Ratio
from hemaloop.config import Settings, read_settings
from hemaloop.embedded import bucket_environment, open_bucket
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import UploadKey, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket
from tasks import ingest_steps as steps

PARAMS = Path(__file__).parent.parent / "params.yaml"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def run() -> list[Ratio]:
    import great_expectations  # noqa: F401  # seconds, once a process, whatever there is to do: not counted

    told, images = fields(300)
    with ExitStack() as running:
        home = running.enter_context(tempfile.TemporaryDirectory())
        settings = read_settings({"HEMALOOP_HOME": home, "HEMALOOP_BUCKET": "embedded"})
        running.enter_context(bucket_environment(settings))
        bucket = open_bucket(settings)
        keys = [_upload(bucket, number, image) for number, image in enumerate(images)]
        limit = min(_read_and_decode(bucket, keys) for _ in range(3))
        ours = _seconds(settings)
        idle = _seconds(settings)
    return [
        Ratio(f"ingest {told}, up to the seal", ours, limit, "reading and decoding the same objects", 2.0),
        Ratio("a poll that finds nothing", idle, limit, f"reading and decoding the {told}", 0.5),
    ]


def _upload(bucket: Bucket, number: int, image: bytes) -> str:
    key = str(UploadKey("bench", NOON.date(), f"field-{number:04d}"))
    sidecar = Sidecar(hashlib.sha256(image).hexdigest(), "bench", NOON + timedelta(seconds=number), slide="s-1")
    bucket.write(key, image)
    bucket.write(sidecar_key(key), encode(sidecar))
    return key


def _read_and_decode(bucket: Bucket, keys: list[str]) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        for place in range(0, len(keys), 64):
            list(pool.map(_decode, bucket.read_many(keys[place : place + 64]).values()))
    return time.perf_counter() - start


def _decode(data: bytes | None) -> None:
    cv2.imdecode(np.frombuffer(data or b"", np.uint8), cv2.IMREAD_COLOR)


def _seconds(settings: Settings) -> float:
    """One round of the ingest steps, without Prefect."""
    start = time.perf_counter()
    steps.discover(settings, PARAMS, "bench")
    while claimed := steps.claim(settings, PARAMS, "bench"):
        chunks = [steps.measure(settings, PARAMS, chunk) for chunk in steps.split_chunks(PARAMS, claimed)]
        measured = [found for chunk in chunks for found in chunk]
        judgement = steps.judge(settings, PARAMS, measured)
        steps.settle(settings, PARAMS, measured, judgement, "bench")
    steps.seal(settings, PARAMS, "bench")
    return time.perf_counter() - start
