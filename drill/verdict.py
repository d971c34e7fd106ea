"""What must hold after a drill, whatever happened in it."""

import csv
import hashlib
import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from drill.devices import DELETED, Sent
from drill.site import Site
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.records import Trace
from hemaloop.ingest.states import State
from hemaloop.protocol.keys import UPLOADS

_FINAL = frozenset({State.VERSIONED, State.QUARANTINED, State.DUPLICATE})


@dataclass
class Verdict:
    """`broken` says each thing that does not hold; empty: all is well."""

    uploads: int
    states: dict[str, int]
    runs: Mapping[str, int]
    faults: Mapping[str, int]
    revisions: int = 0
    images: int = 0  # in the dataset
    hostile: int = 0  # files of the corpus that were uploaded
    broken: list[str] = field(default_factory=list)


def judge(where: Site, sent: Sequence[Sent], runs: Mapping[str, int], faults: Mapping[str, int]) -> Verdict:
    """Look at the ledger, the repository and the bucket, through a proxy that fails no more."""
    ledger = Ledger(where.ledger)
    verdict = Verdict(len(sent), {str(k): v for k, v in ledger.counts().items()}, runs, faults)
    traces = {each.key: ledger.history(each.key) for each in sent}
    for each in sent:
        verdict.broken += (f"{each.key} ({each.kind}): {what}" for what in _of_upload(where, each, traces[each.key]))
    verdict.hostile = sum(each.kind.startswith("hostile") for each in sent)
    verdict.broken += _strangers(where, set(traces))
    revisions = _revisions(where)
    verdict.revisions = len(revisions)
    seen: set[str] = set()
    for commit in revisions:
        verdict.broken += _of_revision(where, commit, seen)
    dataset = _dataset(where, revisions[0]) if revisions else []
    verdict.images = len(dataset)
    verdict.broken += _of_dataset(dataset, [trace for found in traces.values() for trace in found])
    verdict.broken += _pulled(where, len(dataset))
    return verdict


def _of_upload(where: Site, sent: Sent, traces: Sequence[Trace]) -> Iterator[str]:
    """One final state for each content; the last one is known, and went where it belongs."""
    if not traces and sent.kind != DELETED:  # deleted: it may be gone before anybody looked
        yield "lost: the ledger has never seen it"
    if len({trace.upload.etag for trace in traces}) != len(traces):
        yield "one content is in the ledger twice"
    for trace in traces:
        yield from _of_trace(where, trace)
    if traces and sent.kind != DELETED:
        yield from _of_last(sent, traces)


def _of_trace(where: Site, trace: Trace) -> Iterator[str]:
    upload = trace.upload
    ends = {change.state for change in trace.changes if change.state in _FINAL}
    if upload.state not in _FINAL:
        yield f"it is left {upload.state}"
    elif len(ends) != 1:
        yield f"it came to more than one end: {sorted(ends)}"
    revisions = [change.note for change in trace.changes if change.note.startswith("in revision ")]
    if len(revisions) != (upload.state is State.VERSIONED):
        yield f"it is {upload.state}, {revisions}"
    key = upload.quarantine_key
    if upload.state is State.QUARANTINED and key and not where.bucket.exists(f"{key}.json"):
        yield f"{key}.json is missing"


def _of_last(sent: Sent, traces: Sequence[Trace]) -> Iterator[str]:
    """What became of the content that lies in the bucket now."""
    last = [trace.upload for trace in traces if trace.upload.sha256 == sent.sha256] or [traces[-1].upload]
    found, refused = last[-1], last[-1].state is State.QUARANTINED
    if found.sha256 != sent.sha256 and not refused:
        yield f"its last content is not in the ledger, but {found.state} {found.sha256}"
    if sent.reasons and not (refused and found.reason in sent.reasons):
        yield f"{found.state} {found.reason!r}, wanted quarantine for {sorted(sent.reasons)}"
    if not sent.reasons and refused:
        yield f"quarantined as {found.reason!r}, wanted in the dataset"


def _strangers(where: Site, keys: set[str]) -> Iterator[str]:
    for stored in where.bucket.list(UPLOADS):
        if not stored.key.endswith(".json") and stored.key not in keys:
            yield f"{stored.key}: nobody sent it"


def _revisions(where: Site) -> list[str]:
    """Commits that add batches, newest first."""
    return _git(where, "log", "--format=%H", "--grep=^Batch: ", "main").split()


def _of_revision(where: Site, commit: str, seen: set[str]) -> Iterator[str]:
    """Every image of a revision is in the remote, and is what its name says. `seen`: pointers known to be good."""
    for path in _git(where, "ls-tree", "-r", "--name-only", commit, "data/batches").split():
        if not path.endswith(".dvc"):
            continue
        pointer = _git(where, "show", f"{commit}:{path}")
        if pointer not in seen:
            problems = list(_of_batch(where, commit, path, pointer))
            yield from problems
            if not problems:
                seen.add(pointer)


def _of_batch(where: Site, commit: str, path: str, pointer: str) -> Iterator[str]:
    told = f"revision {commit[:12]}: {path}"
    (out,) = yaml.safe_load(pointer)["outs"]
    rows = csv.DictReader(io.StringIO(_git(where, "show", f"{commit}:{path.removesuffix('.dvc')}.csv")))
    wanted = {row["sha256"] + row["suffix"] for row in rows}
    listing = _object(where, out["md5"])
    if listing is None:
        yield f"{told}: its listing is not in the remote"
        return
    entries = {entry["relpath"]: entry["md5"] for entry in json.loads(listing)}
    if set(entries) != wanted:
        yield f"{told}: holds other images than its csv says"
    for name, md5 in entries.items():
        data = _object(where, md5)
        if data is None:
            yield f"{told}: {name} is not in the remote"
        elif hashlib.sha256(data).hexdigest() != name.partition(".")[0]:
            yield f"{told}: {name} is not what its name says"


def _object(where: Site, md5: str) -> bytes | None:
    key = f"dvc/files/md5/{md5[:2]}/{md5[2:]}"
    return where.bucket.read_many([key])[key]


def _dataset(where: Site, commit: str) -> list[str]:
    """The SHA-256 of each image of a revision, as often as it is there."""
    found = []
    for path in _git(where, "ls-tree", "-r", "--name-only", commit, "data/batches").split():
        if path.endswith(".csv") and not path.endswith(".links.csv"):
            found += [row["sha256"] for row in csv.DictReader(io.StringIO(_git(where, "show", f"{commit}:{path}")))]
    return found


def _of_dataset(dataset: Sequence[str], traces: Sequence[Trace]) -> Iterator[str]:
    twice = [sha256 for sha256, count in Counter(dataset).items() if count > 1]
    yield from (f"image {sha256} is in the dataset more than once" for sha256 in twice)
    versioned = {trace.upload.sha256 for trace in traces if trace.upload.state is State.VERSIONED}
    yield from (f"image {sha256} is versioned, and not in the dataset" for sha256 in versioned - set(dataset))
    yield from (f"image {sha256} is in the dataset, and no upload is versioned" for sha256 in set(dataset) - versioned)
    for trace in traces:
        if trace.upload.state is State.DUPLICATE and trace.upload.original_sha256 not in versioned:
            yield f"{trace.upload.key}: a duplicate of {trace.upload.original}, which is not in the dataset"


def _pulled(where: Site, images: int) -> Iterator[str]:
    """A person's clone and `dvc pull`."""
    clone = where.folder / "a-persons-clone"
    subprocess.run(["git", "clone", "-q", str(where.origin), str(clone)], check=True, capture_output=True)
    command = [sys.executable, "-m", "dvc", "pull", "--quiet", "--recursive", "data/batches"]
    if images:
        pulled = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
        if pulled.returncode:
            yield f"dvc pull: {pulled.stderr[-500:]}"
    found = [path for path in (clone / "data" / "batches").glob("*/*") if path.is_file()]
    if len(found) != images:
        yield f"a clone holds {len(found)} images, the dataset {images}"
    yield from (f"{path.name} in a clone is not what its name says" for path in found if not _named(path))


def _named(path: Path) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == path.stem


def _git(where: Site, *arguments: str) -> str:
    command = ["git", "-C", str(where.origin), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
