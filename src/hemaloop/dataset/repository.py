"""The workspace: where batches become dataset revisions, and stages run. git and DVC by their command lines."""

import logging
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from hemaloop.dataset import forgetting
from hemaloop.dataset.batch import Batch
from hemaloop.dataset.cached_history import related
from hemaloop.dataset.clone import BATCHES, TRAINED, UPSTREAM, Clone, busy, tries
from hemaloop.dataset.commands import one_writer
from hemaloop.dataset.failures import stage_failure
from hemaloop.dataset.forgetting import Replacement
from hemaloop.dataset.leaving_out import Withdrawn
from hemaloop.dataset.objects import Objects, Removed
from hemaloop.dataset.records import SealedImage, SealedLink, images_path, links_path, to_csv
from hemaloop.dataset.seal import Sealed, seal
from hemaloop.dataset.split import SplitParams
from hemaloop.dataset.storing import Read, store
from hemaloop.errors import ConfigError, TransientError

log = logging.getLogger(__name__)

# What a publication adds; a file that git knows is committed wherever it is.
_PUBLISHED = ("dvc.lock", "evaluation", "models", "data")


@dataclass(frozen=True)
class Revision:
    commit: str
    batch: str
    images: int  # in this batch


@dataclass(frozen=True)
class Forgotten:
    """What a workspace did to forget images."""

    images: int  # that left the dataset just now
    commit: str  # origin's main, without them
    replaced: tuple[Replacement, ...]  # batches, ever
    removed: Removed  # objects of cache and remote, just now


class Workspace:
    """The bot's own clone of a git repository; never a person's, since what is not in origin's main is dropped.

    Each method holds the lock <folder>.lock while it works. Flows that run side by side need a workspace each, with
    one cache. S3 is reached by the standard AWS_* environment variables.

    Args:
        folder: where the clone is, or will be.
        origin: git address (a bare repository, where it is a folder) with a branch main that holds a DVC project.
        remote: where DVC keeps images: <bucket url>/dvc.
        cache: DVC's local cache, shared by the workspaces of one machine; None: inside the clone.
        lock_seconds: how long to wait for another process.

    Raises (any method):
        ConfigError: origin, remote or folder is wrong, or refuses us.
        TransientError: origin or remote is away, or somebody else is working here.
    """

    def __init__(
        self, folder: Path, origin: str, remote: str, cache: Path | None = None, lock_seconds: float = 300
    ) -> None:
        self.folder = folder.absolute()
        self._origin = origin
        self._remote = remote
        self._cache = cache.absolute() if cache else None
        self._lock_seconds = lock_seconds

    def synchronise(self) -> str:
        """Make the clone, or bring it to origin's main; the commit that it stands on then."""
        with self._writing() as clone:
            return clone.synchronise(keep="")

    def find(self, batch: str) -> str | None:
        """The commit of a batch, as far as the last `synchronise` saw."""
        with self._standing() as clone:
            return _find(clone, batch)

    def version(self, batch: Batch, read: Read, params: SplitParams) -> Revision:
        """Make the batch a dataset revision: images in DVC's remote, then one commit on origin's main.

        Asked again, or after being killed anywhere, it ends with the same, single commit. Needs no image of older
        batches.

        Args:
            read: gives the bytes of an image; called from several threads.

        Raises:
            DataError: an image is not what its sha256 says, is sealed already, or a group is on two sides.
        """
        with self._writing() as clone:
            clone.synchronise(keep=batch.id)
            commit = _find(clone, batch.id)
            if commit is None:
                pointer = store(clone, batch, read) if batch.images else None
                commit = _land(clone, batch, pointer, params)
            return Revision(commit, batch.id, len(batch.images))

    def pull(self, targets: Sequence[str] = ()) -> None:
        """Get what DVC keeps and the cache lacks: the images of all batches, or `targets`."""
        with self._standing() as clone:
            if targets:
                clone.run.dvc("pull", *targets)
            elif any((clone.folder / BATCHES).glob("*.dvc")):
                clone.run.dvc("pull", "--recursive", str(BATCHES))

    def reproduce(self, stage: str) -> None:
        """Run a stage of dvc.yaml if what it reads has changed; its lines go to the log.

        Raises:
            HemaloopError: of the class of the stage's exit code, with the stage's own message.
        """
        with self._standing() as clone:
            ended = clone.run.try_dvc("repro", "--single-item", stage, level=logging.INFO)
        if ended.code != 0:
            raise stage_failure(stage, ended.output)

    def publish(self, message: str, trailers: Mapping[str, str]) -> str:
        """Push what the stages made: outputs to DVC's remote, dvc.lock and evaluation/ to origin's main.

        The tag trained/<commit> keeps what was trained on, exactly, also where main has moved on meanwhile and gets
        the results on top of newer images.

        Returns:
            The commit that was trained on and holds the results; no new one where nothing changed.
        """
        with self._standing() as clone:
            clone.run.git("add", "--update")
            clone.run.git("add", "--", *(name for name in _PUBLISHED if (clone.folder / name).exists()))
            if not clone.staged():
                return _trained(clone)
            clone.run.dvc("push", "--quiet", "dvc.yaml")
            clone.commit(_message(message, trailers))
            made = clone.head()
            clone.run.git("push", "--quiet", "origin", f"{made}:{TRAINED}/{made[:12]}")
            _push_rebased(clone, self._origin)
            return made

    def forget(self, withdrawn: Withdrawn, also: Collection[str] = ()) -> Forgotten:
        """Make the next revision without some images, and remove their bytes here, in cache and in remote.

        Asked again, or after being killed anywhere, it goes on. Older revisions still name these images: pulling one
        says that they are missing.

        Args:
            also: MD5 of content that is in no revision, to be removed too.

        Raises:
            DataError: an image that stays, of a batch that changes, is nowhere to be had.
        """
        with self._writing() as clone:
            clone.synchronise(keep="")
            changes = forgetting.change(clone, withdrawn, self._objects())
            return self._sweep(clone, sum(len(each.gone) for each in changes), also)

    def sweep(self) -> Forgotten | None:
        """Remove here what `forget` removed elsewhere; None: there is no clone here, or it is not made by us.

        Raises:
            TransientError: stages have run, and their results are not published yet.
        """
        with self._writing() as clone:
            if not clone.made:
                return None
            if clone.run.git("status", "--porcelain", "--untracked-files=no"):
                raise TransientError(f"{self.folder}: a training is under way: try again when it has ended")
            clone.synchronise(keep="")
            return self._sweep(clone, 0, ())

    def trained_on(self, batches: frozenset[str]) -> dict[str, int]:
        """Commit of each training whose revision held one of these batches, and how many of them it held."""
        with self._standing() as clone:
            return forgetting.trained_on(clone, batches)

    def _sweep(self, clone: Clone, images: int, also: Collection[str]) -> Forgotten:
        objects = self._objects()
        removed = forgetting.sweep(clone, objects) + objects.remove(also)
        for pixels in ("prepared", "earlier"):
            shutil.rmtree(clone.folder / "data" / pixels, ignore_errors=True)
        (clone.folder / forgetting.PAGE).unlink(missing_ok=True)
        return Forgotten(images, clone.head(), forgetting.replacements(clone), removed)

    def _objects(self) -> Objects:
        return Objects(self._cache or self.folder / ".dvc" / "cache", self._remote)

    @contextmanager
    def _writing(self) -> Iterator[Clone]:
        with one_writer(self.folder.with_name(f"{self.folder.name}.lock"), self._lock_seconds) as lock:
            yield Clone(self.folder, self._origin, self._remote, self._cache, lock)

    @contextmanager
    def _standing(self) -> Iterator[Clone]:
        with self._writing() as clone:
            if not clone.made:
                raise ConfigError(f"workspace {self.folder} is not there: `synchronise` makes it")
            yield clone


def _find(clone: Clone, batch: str) -> str | None:
    found = clone.run.git("log", UPSTREAM, "--format=%H", "--max-count=1", f"--grep=^Batch: {batch}$")
    return found or None


def _trained(clone: Clone) -> str:
    """The commit whose results these are: dvc.lock names the hash of everything that they were made of."""
    lock = clone.run.git("rev-parse", "HEAD:dvc.lock")
    clone.run.git("fetch", "--quiet", "--tags", "origin")
    for commit in clone.run.git("for-each-ref", "--format=%(objectname)", TRAINED).split():
        if clone.run.git("rev-parse", f"{commit}:dvc.lock") == lock:
            return commit
    return clone.head()


def _land(clone: Clone, batch: Batch, pointer: bytes | None, params: SplitParams) -> str:
    """Seal on the newest main, commit and push; again where somebody was faster: sides depend on what is there."""
    folder = clone.folder / BATCHES
    for _ in tries():
        sealed = _seal(clone, batch, params)
        files = {links_path(folder, batch.id): to_csv(sealed.links, SealedLink)} if sealed.links else {}
        if pointer is not None:
            files[images_path(folder, batch.id)] = to_csv(sealed.images, SealedImage)
            files[folder / f"{batch.id}.dvc"] = pointer
        for path, content in files.items():
            path.write_bytes(content)
        clone.run.git("add", "--", *map(str, files))
        clone.commit(_message(_subject(batch, sealed), {"Batch": batch.id}))
        if clone.push():
            return clone.head()
        clone.reset()
        if commit := _find(clone, batch.id):
            return commit
    raise busy(str(clone.folder))


def _seal(clone: Clone, batch: Batch, params: SplitParams) -> Sealed:
    csvs = {name: blob for name, blob in clone.blobs(BATCHES).items() if name.endswith(".csv")}
    within = timedelta(minutes=params.neighbour_minutes)
    found = related(clone.history_cache, clone.folder / BATCHES, csvs, batch, within)
    return seal(batch, found.history, params, found.elsewhere)


def _subject(batch: Batch, sealed: Sealed) -> str:
    subject = f"Add {len(batch.images)} images" if batch.images else f"Add {len(batch.links)} links"
    if not sealed.excluded:
        return subject
    groups = "\n".join(f"- {group}" for group in sealed.excluded)
    return f"{subject}\n\nExcluded from now on, as one with a group of a stricter side:\n{groups}"


def _message(message: str, trailers: Mapping[str, str]) -> str:
    return f"{message}\n\n" + "\n".join(f"{name}: {value}" for name, value in trailers.items())


def _push_rebased(clone: Clone, origin: str) -> str:
    for _ in tries():
        if clone.run.git("rev-list", "--count", f"{UPSTREAM}..HEAD") == "0" or clone.push():
            return clone.head()
        ended = clone.run.try_git("rebase", "--quiet", UPSTREAM)
        if ended.code != 0:
            clone.run.git("rebase", "--abort")
            raise TransientError(
                f"{origin}: somebody else pushed other results: synchronise, and run the stages again\n{ended.output}"
            )
    raise busy(origin)
