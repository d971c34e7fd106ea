"""What git knows of revisions, looked up in a bare mirror of our own: no workspace is waited for, none is changed."""

import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hemaloop.dataset.clone import BATCHES, BRANCH
from hemaloop.dataset.commands import Commands, one_writer
from hemaloop.dataset.failures import failure
from hemaloop.dataset.manifest import ManifestRow, manifest_rows
from hemaloop.dataset.records import read_history

LOCK_SECONDS = 60
_NOTHING_FOUND = 1  # how git grep ends then


class Mirror:
    """A bare mirror in `folder` of the repository at `origin`, made where there is none.

    Raises (any method):
        ConfigError: there is no such repository, or it refuses us.
        TransientError: it is away, or somebody else is working on the mirror.
    """

    def __init__(self, folder: Path, origin: str) -> None:
        self.folder = folder.absolute()
        self._origin = str(Path(origin).resolve()) if Path(origin).exists() else origin

    def refresh(self) -> None:
        """Bring it up to date with its origin."""
        with self._writing(self.folder.parent) as run:
            if not (self.folder / "HEAD").exists():
                run.git("clone", "--quiet", "--mirror", "--", self._origin, str(self.folder))
                return
        with self._writing(self.folder) as run:
            run.git("remote", "set-url", "origin", self._origin)
            run.git("fetch", "--quiet", "--prune", "origin")

    def batches(self) -> dict[str, str]:
        """Each batch and the commit that added it."""
        form = "--format=%H %(trailers:key=Batch,valueonly,separator=%x2C)"
        with self._writing(self.folder) as run:
            lines = run.git("log", BRANCH, form, "--grep=^Batch: ").splitlines()
        pairs = (line.partition(" ") for line in lines)
        return {batch: commit for commit, _, batches in pairs for batch in batches.split(",") if batch}

    def manifest(self, commit: str) -> tuple[ManifestRow, ...]:
        """The labelled images of a revision and their sides, as stage assemble finds them there."""
        with self._writing(self.folder) as run, tempfile.TemporaryDirectory() as folder:
            archive = Path(folder, "batches.tar")
            run.git("archive", "--format=tar", f"--output={archive}", commit, "--", str(BATCHES))
            with tarfile.open(archive) as files:
                files.extractall(folder, filter="data")
            return tuple(manifest_rows(read_history(Path(folder, BATCHES)), BATCHES))

    def holding(self, sha256: str, commits: Sequence[str]) -> tuple[str, ...]:
        """Those of some commits whose batches hold an image; a commit that is not here holds nothing."""
        with self._writing(self.folder) as run:
            here = [each for each in commits if run.try_git("cat-file", "-e", f"{each}^{{commit}}").code == 0]
            if not here:
                return ()
            where = (f"{BATCHES}/*.csv", f":(exclude){BATCHES}/*.links.csv")
            ended = run.try_git("grep", "--files-with-matches", "--fixed-strings", "-e", sha256, *here, "--", *where)
        if ended.code not in (0, _NOTHING_FOUND):
            raise failure("git grep", ended.output)
        found = {line.partition(":")[0] for line in ended.output.splitlines()}
        return tuple(each for each in here if each in found)

    @contextmanager
    def _writing(self, folder: Path) -> Iterator[Commands]:
        with one_writer(self.folder.with_name(f"{self.folder.name}.lock"), LOCK_SECONDS) as lock:
            yield Commands(folder, lock)
