"""Forget a person's images: everything that we can reach, in an order that can be gone on with wherever it stops."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hemaloop.config import Settings
from hemaloop.dataset.leaving_out import Withdrawn
from hemaloop.dataset.objects import list_folder, md5_of
from hemaloop.dataset.repository import Forgotten, Workspace
from hemaloop.embedded import open_bucket
from hemaloop.errors import TransientError
from hemaloop.ingest import forgetting, forgotten_objects, sealing
from hemaloop.ingest.forgetting import Found, Moved, Whose
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.records import SealedBatch, Upload
from hemaloop.ingest.staging import Staging, VanishedError
from hemaloop.ingest.states import State
from hemaloop.storage import Bucket
from tasks.ingest_steps import to_batch
from tasks.workspaces import ingest_workspace, training_workspace

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What was removed, and what was not."""

    uploads: dict[str, int]  # of the ledger, by the state that they were in
    images: int  # that left the dataset
    revision: str  # origin's main, without them
    removed: dict[str, int]  # place -> objects or files that were there
    doubtful: tuple[str, ...]  # uploads that may be the person's too: for a person to decide
    trained: dict[str, int] = field(default_factory=dict)  # commit of a training -> its batches that held such images
    waiting: str = ""  # what could not be reached yet, and why: ask again


def find(settings: Settings, whose: Whose) -> Found:
    """The uploads that `forget` would forget."""
    return forgetting.find(Ledger(settings.ledger), whose)


def forget(settings: Settings, whose: Whose, person: str, reason: str) -> Report:
    """Forget a person's images. Asked again, after being killed or on another machine, it goes on.

    Raises:
        DataError: no person, no reason, or an image of somebody else, of a batch that changes, is nowhere to be had.
        TransientError: something is away, or a run is versioning one of the batches.
    """
    forgetting.check(person, reason)
    now, ledger, bucket = datetime.now(UTC), Ledger(settings.ledger), open_bucket(settings)
    found = forgetting.find(ledger, whose)
    states = dict(forgetting.states(found.uploads))
    forgetting.bury(ledger, whose, _hashes(found.uploads), person, reason, now)
    workspace = ingest_workspace(settings)
    loose = _open_batches(settings, ledger, bucket, workspace, found.uploads, person, now)
    # Again: what was opened may have become something else, and until the tombstones stood more may have come.
    found = forgetting.find(ledger, whose)
    forgetting.bury(ledger, whose, _hashes(found.uploads), person, reason, now)
    changed = workspace.forget(_withdrawn(whose, found.uploads, forgetting.buried_images(ledger)), loose)
    waiting = _sweep_training(settings)
    removed = forgotten_objects.remove_objects(ledger, bucket, whose, found.uploads, person, reason, now)
    removed |= {"reports/": forgotten_objects.remove_answers(ledger, bucket, found.uploads)}
    removed |= {"docs/": forgotten_objects.remove_pages(bucket, settings.home / "docs", found.uploads)}
    removed |= {"DVC's remote": changed.removed.remote, "DVC's cache": changed.removed.cache}
    removed |= {"staged": _unstage(settings, forgetting.buried_images(ledger))}
    batches = frozenset({upload.batch for upload in found.uploads if upload.batch})
    trained = workspace.trained_on(batches | _ancestors(batches, changed))
    if not waiting:
        moved = [Moved(each.old, each.new, each.commit, each.images) for each in changed.replaced]
        forgetting.clear(ledger, found.uploads, moved, person, now)
        forgetting.scrub(ledger)
    return Report(states, changed.images, changed.commit, removed, found.doubtful, trained, waiting)


def _hashes(found: Sequence[Upload]) -> set[str]:
    return {sha256 for upload in found for sha256 in (upload.sha256, upload.sent_sha256) if sha256}


def _withdrawn(whose: Whose, found: Sequence[Upload], buried: frozenset[str]) -> Withdrawn:
    refused = [upload for upload in found if upload.state is State.DUPLICATE and upload.original_sha256]
    origins = [to_batch((), [upload]).links[0].origin for upload in refused]
    return Withdrawn(
        images=buried | _hashes(found),
        patient=whose.patient,
        links=frozenset((origin.device, origin.captured_at.astimezone(UTC)) for origin in origins),
    )


def _open_batches(
    settings: Settings,
    ledger: Ledger,
    bucket: Bucket,
    workspace: Workspace,
    found: Sequence[Upload],
    person: str,
    now: datetime,
) -> list[str]:
    """Settle what becomes of batches that no revision is known of; MD5 of what they may have left in DVC's remote."""
    ids = [upload.id for upload in found]
    waiting = forgetting.unversioned_batches(ledger, ids)
    loose: list[str] = []
    if waiting:
        workspace.synchronise()
    for batch in sealing.unversioned(ledger):
        if batch.id in waiting:
            if commit := workspace.find(batch.id):  # its run died between the commit and the ledger
                sealing.mark_versioned(ledger, batch, commit, person, now)
            else:
                loose += _stored(settings, bucket, batch, set(ids))
    forgetting.withhold(ledger, ids, person, now)
    return loose


def _stored(settings: Settings, bucket: Bucket, batch: SealedBatch, theirs: set[int]) -> list[str]:
    """MD5 of the images that go, and of the batch's list: a run that died may have pushed them."""
    staging, files, gone = Staging(settings.home / "staged"), {}, []
    names = {image.sha256: image.name for image in to_batch(batch.images, ()).images}
    for upload in batch.images:
        try:
            md5 = md5_of(staging.read(bucket, upload))
        except VanishedError as error:
            log.warning("%s: whether DVC's remote has it cannot be told", error)
            continue
        files[names[upload.sha256 or ""]] = md5
        gone += [md5] if upload.id in theirs else []
    return [*gone, list_folder(files)]


def _sweep_training(settings: Settings) -> str:
    """Why the training clone is left as it is; nothing, where it is not."""
    try:
        training_workspace(settings).sweep()
    except TransientError as error:
        return str(error)
    return ""


def _unstage(settings: Settings, hashes: frozenset[str]) -> int:
    staging = Staging(settings.home / "staged")
    there = [sha256 for sha256 in hashes if (staging.folder / sha256).exists()]
    staging.forget(there)
    return len(there)


def _ancestors(batches: frozenset[str], changed: Forgotten) -> frozenset[str]:
    """The batches that these, or what they became, were made of."""
    found = set(batches)
    for each in reversed(changed.replaced):
        if each.new in found or each.old in found:
            found.add(each.old)
    return frozenset(found)
