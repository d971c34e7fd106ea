"""A git repository of the demo's own, so that nothing is ever committed to the user's checkout."""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hemaloop.errors import ConfigError

ROOT = Path(__file__).parents[3]


def create(origin: Path) -> bool:
    """A bare copy of what the checkout has committed; whether the checkout holds more than that.

    Raises: ConfigError: the project does not stand in a git checkout.
    """
    if not (ROOT / "src" / "hemaloop").is_dir() or _git(ROOT, "rev-parse", "--git-dir", check=False) is None:
        raise ConfigError(f"the demo needs a git clone of the project to work on; {ROOT} is none")
    _git(ROOT, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    _git(origin, "config", "receive.shallowUpdate", "true")
    _git(ROOT, "push", "--quiet", str(origin), "HEAD:refs/heads/main")
    return bool(_git(ROOT, "status", "--porcelain", "--untracked-files=no"))


def change_params(origin: Path, changes: dict[str, Any]) -> None:
    """Commit other parameters to the demo's repository; a dotted name reaches into a section."""
    import yaml

    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        _git(origin, "clone", "--quiet", str(origin), str(clone))
        path = clone / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for name, value in changes.items():
            _set(params, name.split("."), value)
        path.write_text(yaml.safe_dump(params, sort_keys=False))
        told = ", ".join(f"{name}={value}" for name, value in changes.items())
        identity = ("-c", "user.name=hemaloop demo", "-c", "user.email=demo@localhost")
        _git(clone, *identity, "commit", "--quiet", "--all", "-m", f"Set {told} for this demo")
        _git(clone, "push", "--quiet", "origin", "HEAD:main")


def _set(params: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        params = params[part]
    params[path[-1]] = value


def _git(folder: Path, *arguments: str, check: bool = True) -> str | None:
    """Git's output, or None where it fails and may."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout.strip()
    if check:
        raise ConfigError(f"git {' '.join(arguments)} in {folder}: {done.stderr.strip()}")
    return None
