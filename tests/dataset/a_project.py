"""A project of a test's own: a bare repository, and what somebody else does to it."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hemaloop.dataset.repository import Workspace


@dataclass(frozen=True)
class Project:
    """A bare repository and a folder for DVC to keep images in."""

    folder: Path
    origin: Path
    remote: str

    def workspace(self, name: str = "workspace", cache: str = "cache", lock_seconds: float = 60) -> Workspace:
        return Workspace(self.folder / name, str(self.origin), self.remote, self.folder / cache, lock_seconds)

    def clone(self, name: str) -> Path:
        git(self.folder, "clone", "-q", str(self.origin), name)
        return self.folder / name

    def change(self, path: str, old: str, new: str) -> None:
        """Somebody commits another content for a file."""
        clone = self.clone("somebody")
        content = (clone / path).read_text()
        assert old in content
        (clone / path).write_text(content.replace(old, new))
        commit_all(clone, f"Change {path}")
        git(clone, "push", "-q", "origin", "main")
        shutil.rmtree(clone)

    def log(self, pattern: str = "") -> list[str]:
        return git(self.origin, "log", "main", "--format=%H", f"--grep={pattern}").split()

    def show(self, path: str) -> str:
        return git(self.origin, "show", f"main:{path}")

    def files(self, folder: str = "data/batches/") -> dict[str, str]:
        paths = git(self.origin, "ls-tree", "-r", "--name-only", "main", folder).split()
        return {path: self.show(path) for path in paths}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout


def commit_all(folder: Path, message: str) -> None:
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=somebody", "-c", "user.email=somebody@localhost", "commit", "-qm", message)
