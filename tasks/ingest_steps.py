"""The steps of ingest over addresses: the ledger's, the bucket's, the workspace's. No Prefect here."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hemaloop.config import Settings, read_section
from hemaloop.dataset.batch import Batch, BatchImage, Link, Origin
from hemaloop.dataset.split import SplitParams
from hemaloop.embedded import open_bucket
from hemaloop.errors import HemaloopError
from hemaloop.ingest import claims, reconciling, removals, sealing, watch
from hemaloop.ingest.entering import Finder
from hemaloop.ingest.judging import judge_round
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measurers import measurers, processors
from hemaloop.ingest.measuring import Chunk, Measured, measure_chunk
from hemaloop.ingest.originals import purge_originals
from hemaloop.ingest.parameters import QuarantineParams, read_parameters
from hemaloop.ingest.purging import Purged
from hemaloop.ingest.purging import purge as purge_quarantine
from hemaloop.ingest.reconciling import Reconciliation
from hemaloop.ingest.records import SealedBatch, Upload
from hemaloop.ingest.rules import Judgement
from hemaloop.ingest.settle import Settled
from hemaloop.ingest.settle import settle as settle_uploads
from hemaloop.ingest.staging import Staging, VanishedError
from hemaloop.protocol.keys import parse_upload_key
from tasks.workspaces import ingest_workspace

log = logging.getLogger(__name__)

CHUNKS = max(2, processors())  # that are measured at once: one begins while the other ends
WORTH_PROCESSES = 6  # chunks in a round: starting a process takes as long as measuring three
FAILURES = 3  # batches that may fail in one run: then something is away, or wrong for all of them


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
    read, ledger, bucket = read_parameters(params), Ledger(settings.ledger), open_bucket(settings)
    removals.carry_out(ledger, bucket)  # what a killed run was to delete
    return watch.discover(ledger, bucket, read.ingest, read.classes, datetime.now(UTC), owner, keys)


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


def plan_chunks(settings: Settings, params: Path, claimed: Sequence[Upload], elsewhere: bool = False) -> list[Chunk]:
    """What is measured together; `elsewhere`: on machines that share nothing with this one but the bucket."""
    read, url = read_parameters(params), open_bucket(settings).url
    largest, size = read.validate.largest_bytes, read.ingest.chunk_images
    staged = None if elsewhere else _staging(settings).folder
    starts, private = range(0, len(claimed), size), read.ingest.private_metadata
    apart = not elsewhere and processors() > 1 and len(starts) >= WORTH_PROCESSES
    return [
        Chunk(url, tuple(claimed[start : start + size]), read.classes, largest, staged, private, apart)
        for start in starts
    ]


def measure(chunk: Chunk) -> list[Measured]:
    """Where this runs, AWS_* lead to the bucket, if that is on S3."""
    if not chunk.apart:
        return measure_chunk(chunk)
    with measurers() as pool:
        return pool.measure(chunk)


def judge(settings: Settings, params: Path, measured: Sequence[Measured]) -> Judgement:
    """Judge a round as one table, and publish its Data Docs."""
    thresholds, local = read_parameters(params).validate, settings.home / "docs"
    return judge_round(Ledger(settings.ledger), open_bucket(settings), measured, thresholds, datetime.now(UTC), local)


def settle(settings: Settings, params: Path, measured: Sequence[Measured], judgement: Judgement, owner: str) -> Settled:
    bits = read_parameters(params).ingest.near_duplicate_bits
    ledger, bucket = Ledger(settings.ledger), open_bucket(settings)
    settled = settle_uploads(ledger, bucket, measured, judgement.refused, owner, bits, datetime.now(UTC))
    _staging(settings).forget(
        found.measures.sha256 for found in measured if found.upload in judgement.refused and found.measures
    )
    return settled


def purge(settings: Settings, params: Path) -> Purged:
    """What nobody released from quarantine in its time loses its bytes."""
    keep = timedelta(days=read_section(params, "quarantine", QuarantineParams).keep_days)
    ledger, bucket, now = Ledger(settings.ledger), open_bucket(settings), datetime.now(UTC)
    purge_originals(ledger, bucket, keep, "purge", now)
    return purge_quarantine(ledger, bucket, keep, "purge", now)


def seal(settings: Settings, params: Path, owner: str) -> int:
    """Seal everything that was accepted; how many batches that made."""
    ledger, limit = Ledger(settings.ledger), read_parameters(params).ingest.batch_images
    made = 0
    while sealing.seal(ledger, limit, _identify, owner, datetime.now(UTC)):
        made += 1
    return made


def claim_batch(settings: Settings, params: Path, owner: str) -> SealedBatch | None:
    """The oldest batch that is in no revision yet and that nobody versions now."""
    lease = read_parameters(params).ingest.lease_seconds
    return sealing.claim_batch(Ledger(settings.ledger), owner, lease, datetime.now(UTC))


def version(settings: Settings, params: Path, sealed: SealedBatch, owner: str) -> str | None:
    """Make a sealed batch a dataset revision; the commit. Again, it finds the same one.

    None where images have vanished since they were measured: they go to quarantine, the others into a new batch.
    """
    bucket, staging, ledger = open_bucket(settings), _staging(settings), Ledger(settings.ledger)
    uploads = {image.sha256 or "": image for image in sealed.images}
    batch = to_batch(sealed.images, sealed.links)
    try:
        revision = ingest_workspace(settings).version(
            batch, lambda image: staging.read(bucket, uploads[image.sha256]), read_section(params, "split", SplitParams)
        )
    except VanishedError:
        gone = staging.vanished(bucket, sealed.images)
        sealing.dissolve(ledger, sealed.id, [upload.id for upload in gone], owner, datetime.now(UTC))
        seal(settings, params, owner)
        return None
    sealing.mark_versioned(ledger, sealed, revision.commit, owner, datetime.now(UTC))
    staging.forget(uploads)
    staging.sweep()
    return revision.commit


def version_all(
    claim_one: Callable[[], SealedBatch | None], version_one: Callable[[SealedBatch], str | None]
) -> Iterator[tuple[SealedBatch, str]]:
    """Version batch after batch, one in memory at a time; each with its commit.

    One that fails keeps no other from its turn.

    Raises:
        HemaloopError: the first one's, once the others are done or `FAILURES` have failed.
    """
    failed: list[HemaloopError] = []
    while len(failed) < FAILURES and (sealed := claim_one()):
        try:
            commit = version_one(sealed)
        except HemaloopError as error:
            log.error("batch %s was not versioned: %s", sealed.id, error)
            failed.append(error)
            continue
        if commit:
            yield sealed, commit
    if failed:
        raise failed[0]


def to_batch(images: Sequence[Upload], links: Sequence[Upload]) -> Batch:
    """What the ledger sealed, in the dataset's words."""
    return Batch(
        tuple(_image(upload) for upload in images),
        tuple(Link(_origin(upload), upload.original_sha256 or "", upload.reason) for upload in links),
    )


def _identify(images: Sequence[Upload], links: Sequence[Upload]) -> str:
    return to_batch(images, links).id


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
