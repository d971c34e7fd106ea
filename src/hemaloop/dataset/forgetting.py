"""The next revision without some images, and DVC's cache and remote without their bytes.

The commit comes first, and says which batches it replaced: so what has to be removed can be read from git, by whoever
goes on with it, on whatever machine.
"""

import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from hemaloop.dataset.batch import BatchImage
from hemaloop.dataset.cached_history import drop
from hemaloop.dataset.clone import BATCHES, TRAINED, UPSTREAM, Clone, busy, tries
from hemaloop.dataset.leaving_out import Change, Withdrawn, leave_out
from hemaloop.dataset.objects import Objects, Removed
from hemaloop.dataset.records import SealedImage, SealedLink, images_path, links_path, read_history, to_csv
from hemaloop.dataset.storing import store
from hemaloop.errors import DataError

log = logging.getLogger(__name__)

PAGE = Path("evaluation/report.html")  # made by the stage report: the only output that shows images

_LOCK, _REPORT = "dvc.lock", "report"
_TRAILER = "Forgotten"
_REPLACED = re.compile(r"([0-9a-f]+) by ([0-9a-f]+|nothing)")
_POINTER = re.compile(r"^- md5: ([0-9a-f]{32}\.dir)$", re.MULTILINE)
_FILES = re.compile(r"^  nfiles: (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Replacement:
    """A batch that is no more, since images of it were forgotten."""

    old: str
    new: str | None  # the batch of what was left; None: nothing was
    commit: str
    images: int  # in the new batch


def change(clone: Clone, withdrawn: Withdrawn, objects: Objects) -> tuple[Change, ...]:
    """Commit and push the dataset without what is withdrawn; the batches that this changed."""
    pointers: dict[str, bytes] = {}
    for _ in tries():
        folder = clone.folder / BATCHES
        changes = leave_out(read_history(folder), withdrawn)
        if not changes:
            return ()
        for each in changes:
            if each.images and each.old not in pointers:
                pointers[each.old] = _store_rest(clone, each, objects)
        for each in changes:
            _replace(clone, each, pointers)
        _drop_page(clone)
        clone.commit(_message(changes))
        if clone.push():
            drop(clone.history_cache)
            return changes
        clone.reset()
        pointers = {}  # what is left of a batch may be another now
    raise busy(str(clone.folder))


def replacements(clone: Clone) -> tuple[Replacement, ...]:
    """Every batch that was ever replaced, oldest first."""
    form = "--format=%H %(trailers:key=Replaced,valueonly,separator=%x2C)"
    found = []
    for line in clone.run.git("log", UPSTREAM, "--reverse", form, f"--grep=^{_TRAILER}: ").splitlines():
        commit, _, replaced = line.partition(" ")
        for old, new in _REPLACED.findall(replaced):
            images = _FILES.search(_show(clone, f"{commit}:{_pointer_path(new)}"))
            found.append(Replacement(old, None if new == "nothing" else new, commit, int(images[1]) if images else 0))
    return tuple(found)


def sweep(clone: Clone, objects: Objects) -> Removed:
    """Remove from cache, remote and this clone what replaced batches held and no batch of main holds any more."""
    wanted = {image.sha256 for image in read_history(clone.folder / BATCHES).all_images()}
    removed = Removed()
    for each in replacements(clone):
        shutil.rmtree(clone.folder / BATCHES / each.old, ignore_errors=True)
        pointer = _POINTER.search(_show(clone, f"{each.commit}^:{_pointer_path(each.old)}"))
        if pointer is None:
            continue  # links alone
        names = objects.names(pointer[1])
        gone = [md5 for name, md5 in (names or {}).items() if Path(name).stem not in wanted]
        removed += objects.remove([*gone, pointer[1]])  # the list last: it says what else is to go
    return removed + objects.remove(_pages(clone))


def trained_on(clone: Clone, batches: frozenset[str]) -> dict[str, int]:
    """Commit of each training whose revision held one of these batches, and how many of them it held."""
    clone.run.git("fetch", "--quiet", "--tags", "origin")
    found = {}
    for commit in clone.run.git("for-each-ref", "--format=%(objectname)", TRAINED).split():
        names = {Path(name).stem for name in clone.blobs(BATCHES, commit) if name.endswith(".csv")}
        if held := len(names & batches):
            found[commit] = held
    return found


def _store_rest(clone: Clone, each: Change, objects: Objects) -> bytes:
    new = each.new
    assert new is not None
    pointer = _POINTER.search((clone.folder / BATCHES / f"{each.old}.dvc").read_text())
    names = (objects.names(pointer[1]) if pointer else None) or {}

    def read(image: BatchImage) -> bytes:
        data = objects.read(names[image.name]) if image.name in names else None
        if data is None:
            raise DataError(
                f"batch {each.old}: image {image.sha256}, which stays, is neither in DVC's cache nor in its remote: "
                "nothing was changed; push it from a clone that has it (`dvc push`)"
            )
        return data

    return store(clone, new, read)


def _replace(clone: Clone, each: Change, pointers: Mapping[str, bytes]) -> None:
    """Stage the files of the new batch in the place of the old one's."""
    folder = clone.folder / BATCHES
    old = [images_path(folder, each.old), links_path(folder, each.old), folder / f"{each.old}.dvc"]
    clone.run.git("rm", "--quiet", "--ignore-unmatch", "--", *map(str, old))
    if each.new is None:
        return
    files: dict[Path, bytes] = {}
    if each.images:
        files[images_path(folder, each.new.id)] = to_csv(each.images, SealedImage)
        files[folder / f"{each.new.id}.dvc"] = pointers[each.old]
    if each.links:
        files[links_path(folder, each.new.id)] = to_csv(each.links, SealedLink)
    for path, content in files.items():
        path.write_bytes(content)
    clone.run.git("add", "--", *map(str, files))


def _drop_page(clone: Clone) -> None:
    """Take the page that shows test images out of dvc.lock: `dvc pull` asks for it no more, `dvc repro` remakes it."""
    locked = yaml.safe_load(_show(clone, f"HEAD:{_LOCK}")) or {}
    if locked.get("stages", {}).pop(_REPORT, None) is None:
        return
    (clone.folder / _LOCK).write_text(yaml.safe_dump(locked, sort_keys=False))
    clone.run.git("add", "--", _LOCK)


def _pages(clone: Clone) -> list[str]:
    """MD5 of the page of each training whose revision held a batch that was replaced."""
    old = frozenset(each.old for each in replacements(clone))
    pages = []
    for commit in trained_on(clone, old):
        stages = (yaml.safe_load(_show(clone, f"{commit}:{_LOCK}")) or {}).get("stages", {})
        made = stages.get(_REPORT, {}).get("outs", [])
        pages += [out["md5"] for out in made if out["path"] == PAGE.as_posix()]
    return pages


def _message(changes: tuple[Change, ...]) -> str:
    images = sum(len(each.gone) for each in changes)
    return "\n".join([f"Forget {images} images: consent was withdrawn", "", *_trailers(changes, images)])


def _trailers(changes: tuple[Change, ...], images: int) -> Iterator[str]:
    yield f"{_TRAILER}: {images} images"
    for each in changes:
        yield f"Replaced: {each.old} by {each.new.id if each.new else 'nothing'}"
    for each in changes:
        if each.new:
            yield f"Batch: {each.new.id}"


def _pointer_path(batch: str) -> str:
    return f"{BATCHES.as_posix()}/{batch}.dvc"


def _show(clone: Clone, name: str) -> str:
    """A file of a commit; nothing, where the commit has none."""
    ended = clone.run.try_git("show", name)
    return ended.output if ended.code == 0 else ""
