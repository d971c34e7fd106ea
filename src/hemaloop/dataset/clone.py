"""The bot's own clone: made, brought to origin's main whatever it was left in, and pointed at the bucket."""

import configparser
import logging
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from hemaloop.dataset.commands import Commands
from hemaloop.dataset.failures import failure
from hemaloop.errors import ConfigError, TransientError

log = logging.getLogger(__name__)

BRANCH = "main"
UPSTREAM = f"origin/{BRANCH}"
TRAINED = "refs/tags/trained"
REMOTE = "bucket"  # DVC's name for where the images are kept
BATCHES = Path("data/batches")
PUSH_TRIES = 20  # each one after somebody else's push
PAUSE_SECONDS = (0.1, 5.0)  # before the second try, and at most; doubled in between

_MARK = "hemaloop-workspace"  # in .git: this clone is ours to reset
# Left by a git that was killed; nobody else works here while we hold the lock.
_STALE = ("*.lock", "refs/heads/*.lock", "refs/remotes/origin/*.lock", "rebase-merge", "rebase-apply")
# What git says when somebody else has pushed meanwhile, or pushes now.
_FASTER = ("fetch first", "non-fast-forward", "cannot lock ref", "failed to update ref", "incorrect old value")

# A hard link costs no space, and a file of ours is replaced, never written into, so it is safe. Only where it comes
# first does `dvc add` link: with reflink before it, and a file system that has none, it copies each image twice.
_LOCAL_CONFIG = """\
[core]
    check_update = false
[cache]
    type = "hardlink,copy"
"""


class Clone:
    """The clone in `folder` of the repository at `origin`; for the holder of the workspace's lock."""

    def __init__(self, folder: Path, origin: str, remote: str, cache: Path | None, lock: int) -> None:
        self.folder = folder
        self._origin = str(Path(origin).resolve()) if Path(origin).exists() else origin
        self._remote = remote.removeprefix("file://")
        self._cache = cache
        self._lock = lock
        self.run = Commands(folder, lock)

    @property
    def made(self) -> bool:
        return (self.folder / ".git").is_dir()

    @property
    def history_cache(self) -> Path:
        return self.folder / ".git" / "hemaloop-history.db"

    def synchronise(self, keep: str) -> str:
        """Bring it to origin's main; what is not there is gone, but for the images of batch `keep`."""
        if not self.made:
            self._make()
        else:
            self._check()
            self._clear_locks()
            self.fetch()
        self.reset()
        self._drop_unfinished(keep)
        self._configure_cache()
        self._configure_remote()
        return self.head()

    def head(self) -> str:
        return self.run.git("rev-parse", "HEAD")

    def fetch(self) -> None:
        self.run.git("fetch", "--quiet", "origin", f"+refs/heads/{BRANCH}:refs/remotes/{UPSTREAM}")

    def reset(self) -> None:
        self.run.git("checkout", "--quiet", "--force", "-B", BRANCH, UPSTREAM)
        self.run.git("clean", "-fdq")

    def blobs(self, folder: Path, commit: str = "HEAD") -> dict[str, str]:
        """Git's hash of each file right in `folder`, by name."""
        listed = self.run.git("ls-tree", "-z", commit, f"{folder.as_posix()}/")
        entries = (entry.split("\t", 1) for entry in listed.split("\0") if entry)
        return {Path(path).name: about.split()[2] for about, path in entries if about.split()[1] == "blob"}

    def commit(self, message: str) -> None:
        """Commit what is staged."""
        self.run.git("commit", "--quiet", "--no-verify", "-m", message)

    def staged(self) -> bool:
        return self.run.try_git("diff", "--cached", "--quiet").code != 0

    def push(self) -> bool:
        """Push main; False: somebody else pushed first, and their main is fetched now."""
        ended = self.run.try_git("push", "--quiet", "origin", f"{BRANCH}:{BRANCH}")
        if ended.code == 0:
            return True
        if not any(words in ended.output for words in _FASTER):
            raise failure("git push", ended.output)
        log.info("somebody else pushed to %s first: taking theirs, and trying again", self._origin)
        self.fetch()
        return False

    def _make(self) -> None:
        if self.folder.exists() and any(self.folder.iterdir()):
            raise ConfigError(
                f"workspace {self.folder} is no clone, and not empty: set HEMALOOP_WORKSPACE to a new folder"
            )
        unfinished = self.folder.with_name(f".cloning-{self.folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        log.info("cloning %s into %s", self._origin, self.folder)
        Commands(unfinished.parent, self._lock).git(
            "clone", "--quiet", "--branch", BRANCH, "--", self._origin, str(unfinished)
        )
        if not (unfinished / ".dvc" / "config").is_file():
            raise ConfigError(f"{self._origin} holds no DVC project: push a clone of hemaloop there, or `dvc init` one")
        (unfinished / ".git" / _MARK).touch()
        if self.folder.exists():
            self.folder.rmdir()
        unfinished.rename(self.folder)

    def _check(self) -> None:
        if not (self.folder / ".git" / _MARK).exists():
            raise ConfigError(
                f"workspace {self.folder} is a clone that hemaloop did not make, and must not reset: "
                "set HEMALOOP_WORKSPACE to a new folder"
            )
        origin = self.run.git("config", "--get", "remote.origin.url")
        if origin != self._origin:
            raise ConfigError(
                f"workspace {self.folder} is a clone of {origin}, not of {self._origin}: "
                "set HEMALOOP_WORKSPACE to a new folder, or HEMALOOP_REPOSITORY to the old address"
            )

    def _clear_locks(self) -> None:
        stale = [path for pattern in _STALE for path in (self.folder / ".git").glob(pattern)]
        for path in (*stale, self.folder / ".dvc" / "tmp" / "rwlock"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _drop_unfinished(self, keep: str) -> None:
        """Images of batches that never made it into git would count as part of data/batches."""
        for folder in (self.folder / BATCHES).glob("*/"):
            if folder.name != keep and not folder.with_name(f"{folder.name}.dvc").exists():
                log.info("dropping %s: it was never finished", folder)
                shutil.rmtree(folder)

    def _configure_cache(self) -> None:
        text = _LOCAL_CONFIG + (f"    dir = {self._cache}\n" if self._cache else "")
        (self.folder / ".dvc" / "config.local").write_text(text)

    def _configure_remote(self) -> None:
        """Say in git where the images are kept, so that everybody's `dvc pull` finds them."""
        for _ in tries():
            if _remote_url(self.folder / ".dvc" / "config") == self._remote:
                return
            self.run.dvc("remote", "add", "--default", "--force", REMOTE, self._remote)
            self.run.git("add", "--", ".dvc/config")
            self.commit(f"Say where the images are kept: {self._remote}")
            if self.push():
                return
            self.reset()
        raise busy(self._origin)


def tries() -> Iterator[int]:
    """Count tries to push. Those who lost come again at different times, so that each lands in the end."""
    first, longest = PAUSE_SECONDS
    for number in range(PUSH_TRIES):
        if number:
            time.sleep(random.uniform(0, min(longest, first * 2**number)))
        yield number


def busy(origin: str) -> TransientError:
    return TransientError(f"{origin}: somebody else pushed first, {PUSH_TRIES} times: try again later")


def _remote_url(config: Path) -> str | None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(config)
    if parser.get("core", "remote", fallback=None) != REMOTE:
        return None
    return parser.get(f"'remote \"{REMOTE}\"'", "url", fallback=None)
