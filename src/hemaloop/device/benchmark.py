"""Latency, size and memory of a model on this machine, against another in the same run; a row a run in a table.

Each measurement is a process of its own, so that the memory is the model's and not the other's; the two take turns, so
that a busy machine slows both. `python -m hemaloop.device.benchmark MODEL ROUNDS IMAGE...` prints a Measured as JSON.
"""

import csv
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from hemaloop.errors import DataError
from hemaloop.inference.classifier import Classifier
from hemaloop.protocol.documents import decode, encode

PROCESSES = 3  # of each model
ROUNDS = 20  # through the images, in each process
WARM = 3  # images, before anything is measured


@dataclass(frozen=True)
class Measured:
    """One model in one process."""

    latency_ms: float  # median of an image, decoding included, one thread
    slow_ms: float  # 95th percentile
    memory_mb: float  # largest resident set of the process: Python and LiteRT are in it
    size_bytes: int  # of the .tflite


@dataclass(frozen=True)
class Row:
    """One run; ratios are of one machine at one time, and may be compared between machines."""

    at: str
    device: str
    machine: str
    cores: int
    python: str
    model: str
    latency_ms: float
    slow_ms: float
    memory_mb: float
    size_bytes: int
    against: str = ""
    against_latency_ms: float | None = None
    against_memory_mb: float | None = None
    against_size_bytes: int | None = None
    times_faster: float | None = None


def compare(model: Path, against: Path | None, images: Sequence[Path]) -> tuple[Measured, Measured | None]:
    """Both models, in turns. Raises: DataError: a model or an image cannot be used."""
    ours: list[Measured] = []
    theirs: list[Measured] = []
    for _ in range(PROCESSES):
        ours.append(_measure_apart(model, images))
        if against is not None:
            theirs.append(_measure_apart(against, images))
    return _middle(ours), _middle(theirs) if theirs else None


def row(at: datetime, device: str, name: str, ours: Measured, against: str = "", theirs: Measured | None = None) -> Row:
    python, cores = platform.python_version(), os.cpu_count() or 1
    only_ours = Row(at.isoformat(timespec="seconds"), device, machine(), cores, python, name, **asdict(ours))
    if theirs is None:
        return only_ours
    compared = {
        "against": against,
        "against_latency_ms": theirs.latency_ms,
        "against_memory_mb": theirs.memory_mb,
        "against_size_bytes": theirs.size_bytes,
        "times_faster": round(theirs.latency_ms / ours.latency_ms, 2),
    }
    return Row(**{**asdict(only_ours), **compared})


def append(table: Path, measured: Row) -> None:
    """Add a row to a CSV file; a new one gets its header. Raises: DataError: it is another table."""
    names = list(asdict(measured))
    new = not table.exists() or not table.stat().st_size
    if not new:
        with table.open(newline="") as stream:
            found = next(csv.reader(stream))
        if found != names:
            raise DataError(f"{table}: it has other columns ({', '.join(found)}): give --table another file")
    with table.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        if new:
            writer.writeheader()
        writer.writerow(asdict(measured))


def machine() -> str:
    """Raspberry Pi 4 Model B Rev 1.5 (aarch64), say."""
    try:
        name = Path("/proc/device-tree/model").read_text().strip("\0\n ")
    except OSError:
        name = platform.system()
    return f"{name} ({platform.machine()})"


def measure(model: Path, images: Sequence[Path], rounds: int = ROUNDS) -> Measured:
    """In this process."""
    content = model.read_bytes()
    classifier, encoded = Classifier(content), [image.read_bytes() for image in images]
    for data in (encoded * WARM)[:WARM]:
        classifier.classify(data)
    taken = sorted(classifier.classify(data).latency_ms for _ in range(rounds) for data in encoded)
    slow = taken[min(len(taken) - 1, int(len(taken) * 0.95))]
    return Measured(round(median(taken), 3), round(slow, 3), round(_peak_mb(), 1), len(content))


def _measure_apart(model: Path, images: Sequence[Path]) -> Measured:
    command = [sys.executable, "-P", "-m", "hemaloop.device.benchmark", str(model), str(ROUNDS), *map(str, images)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise DataError(f"{model}: it cannot be measured: {said[-1] if said else 'no message'}")
    return decode(done.stdout.encode(), Measured)


def _middle(measured: Sequence[Measured]) -> Measured:
    return sorted(measured, key=lambda each: each.latency_ms)[len(measured) // 2]


def _peak_mb() -> float:
    """The most memory that this process has had, as Linux tells it."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise DataError("/proc/self/status has no VmHWM: memory is measured on Linux alone")
    return int(found[1]) / 1024


if __name__ == "__main__":
    sys.stdout.write(
        encode(measure(Path(sys.argv[1]), [Path(each) for each in sys.argv[3:]], int(sys.argv[2]))).decode()
    )
