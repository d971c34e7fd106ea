"""A whole installation for tests: a bucket, a repository with a DVC project, and a home."""

import hashlib
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hemaloop.config import Settings, read_classes, read_section, read_settings
from hemaloop.ingest.entering import Finder
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.parameters import IngestParams
from hemaloop.ingest.reconciling import reconcile
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import UploadKey, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

PARAMS = Path(__file__).parents[2] / "params.yaml"
CAPTURED = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def environment(home: Path, bucket: Bucket, origin: Path) -> dict[str, str]:
    """What the processes of this installation are told; the S3 server's address comes from AWS_*."""
    return {
        "HEMALOOP_HOME": str(home),
        "HEMALOOP_BUCKET": bucket.url,
        "HEMALOOP_REPOSITORY": str(origin),
        "DVC_NO_ANALYTICS": "1",
    }


def settings_of(variables: Mapping[str, str]) -> Settings:
    return read_settings({**os.environ, **variables})


def upload(
    bucket: Bucket,
    capture: str,
    data: bytes,
    label: str | None = None,
    sidecar: bytes | None = None,
    suffix: str = ".jpg",
    slide: str | None = None,
) -> str:
    """What a device does: the image, then its sidecar."""
    key = str(UploadKey("pi-1", CAPTURED.date(), capture, suffix))
    bucket.write(key, data)
    said = Sidecar(hashlib.sha256(data).hexdigest(), "pi-1", CAPTURED + timedelta(hours=len(capture)), slide=slide)
    said = Sidecar(**{**vars(said), "label": label, "labelled_by": "ana" if label else None})
    bucket.write(sidecar_key(key), encode(said) if sidecar is None else sidecar)
    return key


def find_all(ledger: Ledger, bucket: Bucket, now: datetime) -> int:
    """Enter all that is in the bucket, whatever its age; how many were new."""
    params = replace(read_section(PARAMS, "ingest", IngestParams), settle_seconds=0)
    return reconcile(Finder(ledger, bucket, params, read_classes(PARAMS), now, "watch")).entered


def revision_files(origin: Path) -> dict[str, str]:
    """Every file of main, by path."""
    names = _git(origin, "ls-tree", "-r", "--name-only", "main").split()
    return {name: _git(origin, "show", f"main:{name}") for name in names}


def commits(origin: Path) -> list[str]:
    """Subjects and trailers of main, newest first."""
    found = _git(origin, "log", "--format=%B%x00", "main")
    return [message.strip() for message in found.split("\0") if message.strip()]


def _git(origin: Path, *command: str) -> str:
    return subprocess.run(["git", "-C", str(origin), *command], check=True, capture_output=True, text=True).stdout
