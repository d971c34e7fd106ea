"""Size of a device's install: the wheels of requirements/device.lock for Raspberry Pi OS, as pip lays them down.

They are laid into an empty folder for aarch64 by uv, on whatever machine this is (it needs the package index); MB are
10^6 bytes of files. "trimmed" is what deploy/device/trim.sh leaves: without what no device loads.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.ratio import Ratio

REPOSITORY = Path(__file__).parents[1]
LOCK = REPOSITORY / "requirements/device.lock"
TRIM = REPOSITORY / "deploy/device/trim.sh"
ALLOWED_MB = 150.0
PYTHONS = ("3.11", "3.13")  # of Raspberry Pi OS 12 and 13
PLATFORM = "aarch64-manylinux_2_28"


def run() -> list[Ratio]:
    return [ratio for python in PYTHONS for ratio in _sizes(python)]


def install(folder: Path, python: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """The lock, for a Raspberry Pi, with all hashes checked and nothing built."""
    uv = Path(sys.executable).with_name("uv")
    command: list[str | Path] = [
        uv, "pip", "install", "--target", folder, "--python-platform", PLATFORM, "--python-version", python,
        "--only-binary", ":all:", "--require-hashes", "--requirement", LOCK, *options,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _sizes(python: str) -> Iterator[Ratio]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "lib"
        done = install(folder, python)
        if done.returncode:
            raise SystemExit(f"uv: {done.stderr}")
        yield Ratio(f"MB of an install, Python {python}", _mb(folder), ALLOWED_MB, "MB allowed", 1.0)
        subprocess.run([TRIM, folder], check=True, capture_output=True)
        yield Ratio(f"MB of an install, Python {python}, trimmed", _mb(folder), ALLOWED_MB, "MB allowed", 1.0)


def _mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6
