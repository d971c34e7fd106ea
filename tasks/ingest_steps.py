"""The steps of ingest over addresses: the ledger's, the bucket's, the workspace's. No Prefect here."""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from hemaloop.config import Settings, read_section
from hemaloop.dataset.batch import Batch, BatchImage, Link, Origin
from hemaloop.dataset.split import SplitParams
from hemaloop.embedded import open_bucket
from hemaloop.ingest import claims, docs, reconciling, sealing, watch
from hemaloop.ingest.entering import Finder
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measuring import Measured, measure_uploads
from hemaloop.ingest.parameters import read_parameters
from hemaloop.ingest.reconciling import Reconciliation
from hemaloop.ingest.records import SealedBatch, Upload
from hemaloop.ingest.rules import Judgement
from hemaloop.ingest.settle import Settled
from hemaloop.ingest.settle import settle as settle_uploads
from hemaloop.ingest.staging import Staging
from hemaloop.protocol.keys import parse_upload_key
from tasks.workspaces import ingest_workspace

log = logging.getLogger(__name__)


def find_params(settings: Settings, given: str | None, newest: bool) -> Path:
    """The params.yaml to go by: the given one, else the revision's under review, brought up to date if `newest`."""
    if given is not None:
        return Path(given).absolute()
    path = settings.workspace / "params.yaml"
    if newest or not path.is_file():
        ingest_workspace(settings).synchronise()
    return path


def discover(settings: Settings, params: Path, owner: str, keys: Sequence[str] = ()) -> int:
    """New uploads that were entered in the ledger; `keys` are hints of where to look besides."""
    read, ledger = read_parameters(params), Ledger(settings.ledger)
    return watch.discover(ledger, open_bucket(settings), read.ingest, read.classes, datetime.now(UTC), owner, keys)


def reconcile(settings: Settings, params: Path) -> Reconciliation:
    """The whole bucket against the ledger."""
    read, ledger = read_parameters(params), Ledger(settings.ledger)
    finder = Finder(ledger, open_bucket(settings), read.ingest, read.classes, datetime.now(UTC), "reconciliation")
    return reconciling.reconcile(finder)


def claim(settings: Settings, params: Path, owner: str) -> tuple[Upload, ...]:
    """Uploads for one round: as many as may go into one batch."""
    read = read_parameters(params).ingest
    url = open_bucket(settings).url
    return claims.claim(Ledger(settings.ledger), url, owner, read.batch_images, read.lease_seconds, datetime.now(UTC))


def split_chunks(params: Path, claimed: Sequence[Upload]) -> list[tuple[Upload, ...]]:
    size = read_parameters(params).ingest.chunk_images
    return [tuple(claimed[start : start + size]) for start in range(0, len(claimed), size)]


def measure(settings: Settings, params: Path, chunk: Sequence[Upload]) -> list[Measured]:
    read = read_parameters(params)
    largest = read.validate.bytes[1]
    return measure_uploads(open_bucket(settings), _staging(settings), chunk, read.classes, largest)


def judge(settings: Settings, params: Path, measured: Sequence[Measured]) -> Judgement:
    """Judge a round as one table, and publish its Data Docs."""
    from hemaloop.ingest import expectations  # seconds: only when there is something to judge

    with tempfile.TemporaryDirectory() as site:
        judgement = expectations.judge(measured, read_parameters(params).validate, datetime.now(UTC), Path(site))
        docs.publish(open_bucket(settings), Path(site), settings.home / "docs")
    if judgement.suspect:
        log.warning("%d of %d uploads were refused: is a device out of order?", len(judgement.refused), len(measured))
    return judgement


def settle(settings: Settings, params: Path, measured: Sequence[Measured], judgement: Judgement, owner: str) -> Settled:
    bits = read_parameters(params).ingest.near_duplicate_bits
    ledger, bucket = Ledger(settings.ledger), open_bucket(settings)
    settled = settle_uploads(ledger, bucket, measured, judgement.refused, owner, bits, datetime.now(UTC))
    _staging(settings).forget(
        found.measures.sha256 for found in measured if found.upload in judgement.refused and found.measures
    )
    return settled


def seal(settings: Settings, params: Path, owner: str) -> list[SealedBatch]:
    """Seal everything that was accepted; all batches that are in no revision yet, oldest first."""
    ledger = Ledger(settings.ledger)
    limit = read_parameters(params).ingest.batch_images
    while sealing.seal(ledger, limit, lambda images, links: to_batch(images, links).id, owner, datetime.now(UTC)):
        pass
    return list(sealing.unversioned(ledger))


def version(settings: Settings, params: Path, sealed: SealedBatch, owner: str) -> str:
    """Make a sealed batch a dataset revision; the commit. Again, it finds the same one."""
    bucket, staging = open_bucket(settings), _staging(settings)
    uploads = {image.sha256 or "": image for image in sealed.images}
    batch = to_batch(sealed.images, sealed.links)
    revision = ingest_workspace(settings).version(
        batch, lambda image: staging.read(bucket, uploads[image.sha256]), read_section(params, "split", SplitParams)
    )
    sealing.mark_versioned(Ledger(settings.ledger), sealed, revision.commit, owner, datetime.now(UTC))
    staging.forget(uploads)
    staging.sweep()
    return revision.commit


def to_batch(images: Sequence[Upload], links: Sequence[Upload]) -> Batch:
    """What the ledger sealed, in the dataset's words."""
    return Batch(
        tuple(_image(upload) for upload in images),
        tuple(Link(_origin(upload), upload.original_sha256 or "", upload.reason) for upload in links),
    )


def _image(upload: Upload) -> BatchImage:
    sidecar, place = upload.sidecar, parse_upload_key(upload.key)
    assert place is not None
    assert upload.sha256 is not None
    image = BatchImage(upload.sha256, place.suffix, upload.key, _origin(upload))
    if sidecar is None:
        return image
    return replace(
        image,
        label=sidecar.label,
        labelled_by=sidecar.labelled_by,
        stain=sidecar.stain,
        um_per_px=sidecar.um_per_px,
    )


def _origin(upload: Upload) -> Origin:
    """Without a sidecar, the time is that of the upload: it may join groups that are not one, never part one."""
    place = parse_upload_key(upload.key)
    assert place is not None
    if upload.sidecar is None:
        return Origin(place.device, upload.modified)
    return Origin(place.device, upload.sidecar.captured_at, upload.sidecar.slide, upload.sidecar.patient)


def _staging(settings: Settings) -> Staging:
    return Staging(settings.home / "staged")
