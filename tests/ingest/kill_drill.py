"""End the ingest process (SIGKILL) at each of its effects, run it again, and compare with a run left alone.

    python kill_drill.py WORK early [STEP]   every STEP-th effect up to the sealed batch, each on a site of its own;
                                             the bucket is a folder
    python kill_drill.py WORK late           one site on an S3 server (AWS_*), killed again and again from the first
                                             git command to the end

An effect is a ledger transaction, a write to the bucket, a staged file, or a command of git or DVC; the kill falls
before it or after it. Nothing is replaced: each process is a fork of this one, so that Great Expectations is imported
once. Prints JSON: {"points": n, "differences": {point: what}}.
"""

import hashlib
import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import great_expectations.expectations  # noqa: F401
import s3fs  # noqa: F401
import sqlalchemy
from ingest_site import PARAMS, commits, environment, revision_files, settings_of, upload

import hemaloop.dataset.repository
import hemaloop.ingest.expectations  # noqa: F401
from bench.images import speckles as picture
from drill.forks import in_child
from drill.site import make_origin
from hemaloop.imaging import faults
from hemaloop.ingest import sealing
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.sealing import unversioned
from hemaloop.ingest.staging import Staging
from hemaloop.storage import Bucket
from tasks.ingest_plain import ingest_plain

KILLED = -signal.SIGKILL
COMMAND = "command"


class Boundaries:
    """Counts what is about to happen and what has just happened, and kills this process at one of them."""

    def __init__(self, kill: Callable[[int, str, Counter[str]], bool]) -> None:
        self._kill, self._lock = kill, threading.Lock()
        self._count, self._names = 0, Counter[str]()

    def cross(self, name: str) -> None:
        with self._lock:
            self._count += 1
            self._names[name] += 1
            if self._kill(self._count, name, self._names):
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        self._around(sqlalchemy.Connection, "commit", lambda *_: "commit")
        self._around(Bucket, "write", lambda _, key, *__: "" if key.startswith("docs/static") else "write")
        self._around(Bucket, "copy", lambda *_: "copy")
        self._around(Bucket, "delete", lambda *_: "delete")
        self._around(Staging, "keep", lambda *_: "keep")
        self._around(sealing, "mark_versioned", lambda *_: "mark")
        sys.addaudithook(lambda event, _: self.cross(COMMAND) if event == "subprocess.Popen" else None)

    def _around(self, cls: Any, method: str, name: Callable[..., str]) -> None:
        original = getattr(cls, method)

        def crossing(*args: Any, **options: Any) -> Any:
            if not (called := name(*args)):
                return original(*args, **options)
            self.cross(called)
            result = original(*args, **options)
            self.cross(f"{called} done")
            return result

        setattr(cls, method, crossing)


class Site:
    """One bucket, home and repository."""

    def __init__(self, work: Path, origin: Path, name: str, bucket: str = "") -> None:
        self.folder, self.origin = work / name, origin
        self.folder.mkdir()
        self.url = bucket or f"file://{self.folder}/bucket"
        self.params = self.folder / "params.yaml"
        self.params.write_text(PARAMS.read_text().replace("chunk_images: 128", "chunk_images: 3"))
        in_child(self._fill)

    def run(self, kill: Callable[[int, str, Counter[str]], bool]) -> int:
        def work() -> None:
            Boundaries(kill).watch()
            os.environ.update(environment(self.folder / "home", Bucket(self.url), self.origin))
            ingest_plain(settings_of(os.environ), str(self.params))

        return in_child(work)

    def look(self) -> dict[str, Any]:
        """What must be the same, whatever died."""
        target = self.folder / "found.json"
        in_child(lambda: target.write_text(json.dumps(self._look())))
        found: dict[str, Any] = json.loads(target.read_text())
        return found

    def _fill(self) -> None:
        bucket = Bucket(self.url)
        bucket.create()
        for seed in range(3):
            upload(bucket, f"good-{seed}", picture(seed), "monocyte")
        upload(bucket, "same", picture(0))
        upload(bucket, "reencoded", faults.reencode(picture(1)))
        upload(bucket, "dark", faults.darken(picture(5)))
        upload(bucket, "located", faults.with_gps(picture(6)))
        upload(bucket, "empty", b"")

    def _look(self) -> dict[str, Any]:
        os.environ.update(environment(self.folder / "home", Bucket(self.url), self.origin))
        settings = settings_of(os.environ)
        ledger, bucket = Ledger(settings.ledger), Bucket(self.url)
        there = [stored.key for stored in bucket.list("uploads/")]
        keys = [key.removesuffix(".json") + ".jpg" for key in there if key.endswith(".json")]
        found: dict[str, Any] = {"uploads": there}
        for key in keys:
            traces = ledger.history(key)
            last = traces[-1].upload
            ends = [str(change.state) for change in traces[-1].changes if change.state not in ("discovered", "claimed")]
            found[key] = [len(traces), last.state, last.reason, last.sha256, last.batch, last.original, ends]
        found["batches"] = [[batch.id, len(batch.images), len(batch.links)] for batch in unversioned(ledger)]
        for stored in (*bucket.list("quarantine/"), *bucket.list("stripped/")):
            data = bucket.read(stored.key)
            said = json.loads(data)["reason"] if stored.key.endswith(".json") else ""
            found[stored.key] = said or hashlib.sha256(data).hexdigest()
        return found


def at_first_command(_: int, name: str, __: Counter[str]) -> bool:
    return name == COMMAND


def early(work: Path, origin: Path, step: int) -> dict[str, Any]:
    """All that comes before git is quick: each run ends, killed, at git's first command."""
    alone = Site(work, origin, "alone")
    assert alone.run(at_first_command) == KILLED
    wanted = alone.look()
    differences: dict[str, Any] = {}
    for point in range(1, 1000, step):
        site = Site(work, origin, f"early-{point}")
        stops: list[str] = []
        marker = site.folder / "reached"

        def kill(count: int, name: str, _: Counter[str], point: int = point, marker: Path = marker) -> bool:
            if count == point and name != COMMAND:
                marker.write_text(name)
            return count == point or name == COMMAND

        assert site.run(kill) == KILLED
        assert site.run(at_first_command) == KILLED
        stops.append(marker.read_text() if marker.exists() else "")
        if (found := site.look()) != wanted:
            differences[f"{point} {stops[0]}"] = {k: [wanted.get(k), v] for k, v in found.items() if wanted.get(k) != v}
        if not stops[0]:
            return {"points": point - 1, "differences": differences, "wanted": wanted}
    raise AssertionError("it never came to its end")


def late(work: Path, origin: Path) -> dict[str, Any]:
    """From the first git command on: the same batch, one commit of it, and all uploads versioned."""
    site = Site(work, origin, "late", "s3://kill-drill")
    assert site.run(at_first_command) == KILLED
    sealed = site.look()["batches"]
    kills = {
        "in the middle of git and DVC": lambda _, name, names: names[COMMAND] == 12,
        "pushed, the ledger not told": lambda _, name, names: name == "mark",
        "the ledger told": lambda _, name, names: name == "mark done",
    }
    ended = {name: site.run(kill) for name, kill in kills.items()}
    before = commits(origin)
    ended["nothing left to do"] = site.run(lambda *_: False)
    found = site.look()
    return {
        "ended": ended,
        "sealed": sealed,
        "left": found.pop("batches"),
        "states": sorted({str(value[1]) for key, value in found.items() if key.startswith("uploads/")}),
        "commits": commits(origin),
        "unchanged": before == commits(origin),
        "files": sorted(revision_files(origin)),
    }


def main() -> None:
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    origin = make_origin(work)
    step = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    print(json.dumps(early(work, origin, step) if sys.argv[2] == "early" else late(work, origin), indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
