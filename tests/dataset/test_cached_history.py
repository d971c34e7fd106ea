"""The cache of what is sealed: sealing with it gives what sealing without it gives, whatever happened to it."""

import shutil
import subprocess
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from some_arrivals import EMPTY, PARAMS, add, arrivals, image, origin

from hemaloop.dataset.batch import Batch
from hemaloop.dataset.cached_history import related
from hemaloop.dataset.records import History, SealedImage, SealedLink, images_path, links_path, to_csv
from hemaloop.dataset.seal import Sealed, seal
from hemaloop.errors import DataError

WITHIN = timedelta(minutes=PARAMS.neighbour_minutes)


class Clone:
    """data/batches as git has it, and a cache beside it."""

    def __init__(self, folder: Path) -> None:
        self.batches, self.cache = folder / "batches", folder / "cache.db"
        self.batches.mkdir()

    def write(self, history: History) -> None:
        shutil.rmtree(self.batches)
        self.batches.mkdir()
        for id_, images in history.images.items():
            images_path(self.batches, id_).write_bytes(to_csv(images, SealedImage))
        for id_, links in history.links.items():
            links_path(self.batches, id_).write_bytes(to_csv(links, SealedLink))

    def seal(self, batch: Batch) -> Sealed:
        blobs = {path.name: str(hash(path.read_bytes())) for path in self.batches.iterdir()}
        found = related(self.cache, self.batches, blobs, batch, WITHIN)
        self.read = len(list(found.history.all_images()))
        return seal(batch, found.history, PARAMS, found.elsewhere)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@settings(max_examples=150, deadline=None)
@given(arrivals(), st.randoms(use_true_random=False))
def test_sealing_with_the_cache_is_sealing_without_it(batches: list[Batch], random) -> None:
    """Also where several batches come at once, from other workspaces, and where some are taken out again."""
    with tempfile.TemporaryDirectory() as folder:
        clone, history = Clone(Path(folder)), EMPTY
        for batch in batches:
            clone.write(history)
            if random.random() < 0.7:
                assert clone.seal(batch) == seal(batch, history, PARAMS)
            history, _ = add(history, batch)
            if random.random() < 0.1:
                gone = random.choice(sorted(history.images | history.links))
                history = History(*({i: x for i, x in d.items() if i != gone} for d in vars(history).values()))


def many(start: int, count: int = 40) -> Batch:
    return Batch(tuple(image(n, origin(0, slide=f"s{n // 4}")) for n in range(start, start + count)))


@pytest.fixture
def filled(clone: Clone) -> Clone:
    history, _ = add(EMPTY, many(0))
    clone.write(history)
    clone.seal(many(500))
    return clone


@pytest.mark.parametrize(
    "content", [b"", b"no database at all" * 100, None, "half", "end"], ids=["empty", "other", "lost", "torn", "zeros"]
)
def test_a_damaged_cache_is_made_anew(filled: Clone, content: bytes | str | None) -> None:
    data = filled.cache.read_bytes()
    wanted = seal(many(500), add(EMPTY, many(0))[0], PARAMS)
    if content is None:
        filled.cache.unlink()
    elif isinstance(content, bytes):
        filled.cache.write_bytes(content)
    else:
        filled.cache.write_bytes(data[: len(data) // 2] + (b"\0" * (len(data) // 2) if content == "end" else b""))
    assert filled.seal(many(500)) == wanted


def test_a_batch_that_touches_nothing_reads_nothing(filled: Clone) -> None:
    filled.seal(many(500))
    assert filled.read == 0
    filled.seal(Batch((image(900, origin(0, slide="s3")),)))
    assert filled.read == 4


def test_what_git_says_now_counts(filled: Clone) -> None:
    """A file that somebody changed, for instance to undo a commit, is read again."""
    history, sealed = add(EMPTY, many(0))
    slide = replace(sealed.images[0], side="test" if sealed.images[0].side == "train" else "train")
    images = tuple(replace(one, side=slide.side) if one.slide == slide.slide else one for one in sealed.images)
    filled.write(History({many(0).id: images}, {}))
    late = Batch((image(900, origin(0, slide=slide.slide)),))
    assert filled.seal(late).images[0].side == slide.side != seal(late, history, PARAMS).images[0].side


def test_a_group_on_two_sides_stops_it_again_and_again(filled: Clone) -> None:
    history, sealed = add(EMPTY, many(0))
    other = replace(sealed.images[0], sha256="f" * 64, side="test" if sealed.images[0].side == "train" else "train")
    filled.write(History({**history.images, "b2": (other,)}, {}))
    for _ in range(2):
        with pytest.raises(DataError, match="is on two sides"):
            filled.seal(many(500))


def test_a_killed_writer_leaves_a_cache_that_can_be_used(filled: Clone) -> None:
    """SQLite's journal undoes what a dead process had half written."""
    script = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1')\nc.execute('BEGIN IMMEDIATE')\nc.execute('DELETE FROM images')\n"
        "c.execute('DELETE FROM nodes')\nos.kill(os.getpid(), 9)"
    )
    subprocess.run(["python3", "-c", script, str(filled.cache)], check=False)
    late = Batch((image(900, origin(0, slide="s3")),))
    assert filled.seal(late) == seal(late, add(EMPTY, many(0))[0], PARAMS)
