"""Batches become revisions, with real git and real DVC."""

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from a_project import Project, git
from some_images import PARAMS, batch, image, read
from versioning_worker import EACH, SHARED, links

from hemaloop.dataset.batch import Batch, BatchImage, Link
from hemaloop.dataset.manifest import assemble
from hemaloop.dataset.repository import Workspace
from hemaloop.dataset.verification import verify
from hemaloop.embedded import environment, free_port, running, wait_until
from hemaloop.errors import ConfigError, DataError, TransientError
from hemaloop.storage import Bucket

pytestmark = pytest.mark.slow

CLASSES = ("lymphocyte", "monocyte")


def run(folder: Path, *arguments: str) -> str:
    """What a person types, with this Python first in the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, env=os.environ | {"PATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_scientists_clone_finds_what_the_bot_built_and_nothing_to_do(bare: Project, bucket: Bucket) -> None:
    project = replace(bare, remote=f"{bucket.url}/dvc")
    workspace, given = project.workspace(), batch("one")
    revision = workspace.version(given, read, PARAMS)
    assert (revision.batch, revision.images) == (given.id, 12)
    assert workspace.find(given.id) == revision.commit == project.log()[0]
    workspace.reproduce("assemble")
    project.change("params.yaml", "classes:", "# known\nclasses:")
    trained = workspace.publish("Assemble", {"Run": "7"})
    assert workspace.publish("Assemble", {"Run": "7"}) == trained
    assert git(project.origin, "rev-parse", f"trained/{trained[:12]}").strip() == trained
    assert "# known" not in git(project.origin, "show", f"{trained}:params.yaml")  # what it was trained with, exactly
    assert git(project.origin, "show", f"{trained}:dvc.lock") == project.show("dvc.lock")
    assert git(project.origin, "log", "-1", "--format=%an %(trailers)", "main").strip() == "hemaloop bot Run: 7"

    clone = project.clone("scientist")
    run(clone, "dvc", "pull")
    assert "didn't change, skipping" in run(clone, "dvc", "repro")
    assert not git(clone, "status", "--porcelain")
    assert "# known" in (clone / "params.yaml").read_text()
    assert (clone / "data/manifest.csv").read_text() == (workspace.folder / "data/manifest.csv").read_text()
    assert len((clone / "data/manifest.csv").read_text().splitlines()) == 13


def test_sides_are_decided_again_when_somebody_was_faster_and_no_older_image_is_needed(project: Project) -> None:
    """The slide's side would be train, had nobody else added images meanwhile."""
    mine = Batch((image("mine", "slide-p"),))
    theirs = Batch((*(image(f"many-{n}", "slide-q") for n in range(3)), image("theirs", "slide-p")))

    def read_while_somebody_pushes(wanted: BatchImage) -> bytes:
        project.workspace("other", "other-cache").version(theirs, read, PARAMS)
        return read(wanted)

    workspace = project.workspace()
    workspace.version(mine, read_while_somebody_pushes, PARAMS)
    folder = workspace.folder / "data/batches"
    assert {path.name for path in folder.glob("*/")} == {mine.id}
    with pytest.raises(DataError, match=r"4 of 4 images are not here.*`dvc pull`"):
        assemble(folder, CLASSES)
    workspace.pull()
    sides = {row.side for row in assemble(folder, CLASSES).rows if row.slide == "slide-p"}
    assert sides in ({"validation"}, {"test"})
    assert len(project.log("^Batch: ")) == 2


def test_links_alone_are_a_revision(project: Project) -> None:
    link = Link(image("refused", "another").origin, "0" * 64, "near-duplicate")
    revision = project.workspace().version(Batch((), (link,)), read, PARAMS)
    assert revision.images == 0
    assert f"slide:another,{link.sha256},near-duplicate" in project.show(f"data/batches/{revision.batch}.links.csv")


def test_a_bucket_that_is_away_delays_and_a_wrong_secret_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = batch("one", images=3)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    workspace = replace(project, remote="s3://hemaloop/dvc").workspace()
    with running(project.folder) as server, environment(server.environment()):
        workspace.synchronise()
    with environment(server.environment()), pytest.raises(TransientError, match=r"(?s)dvc push .* failed.*try again"):
        workspace.version(given, read, PARAMS)
    with running(project.folder), environment(server.environment() | {"AWS_SECRET_ACCESS_KEY": "wrong"}):
        with pytest.raises(ConfigError, match=r"(?s)dvc push .* failed.*AWS_"):
            workspace.version(given, read, PARAMS)
        assert not project.log("^Batch: ")
        with environment(server.environment()):
            revision = workspace.version(given, lambda _: pytest.fail("every image is here"), PARAMS)
            fresh = replace(project, remote="s3://hemaloop/dvc").workspace("fresh", "fresh-cache")
            assert fresh.synchronise() == revision.commit
            fresh.pull()
    assert verify(fresh.folder) == ()


def test_an_origin_that_is_away_delays(project: Project) -> None:
    port, link = free_port(), Link(image("refused", "another").origin, "0" * 64, "near-duplicate")
    address = f"git://127.0.0.1:{port}/origin.git"
    workspace = Workspace(project.folder / "workspace", address, project.remote)
    with served(project.folder, port):
        workspace.synchronise()
    with pytest.raises(TransientError, match="try again later"):
        workspace.version(Batch((), (link,)), read, PARAMS)
    with served(project.folder, port):
        workspace.version(Batch((), (link,)), read, PARAMS)
    assert len(project.log("^Batch: ")) == 1


@contextmanager
def served(folder: Path, port: int) -> Iterator[None]:
    """Git's own server over `folder`."""
    where = ("--base-path=.", "--listen=127.0.0.1", f"--port={port}", "--reuseaddr", ".")
    command = ("git", "daemon", "--export-all", "--enable=receive-pack", *where)
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as daemon:
        wait_until("git daemon", daemon, lambda: not _is_free(port), 10, "no log")
        try:
            yield
        finally:
            daemon.terminate()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_workers_that_meet_at_each_push_land_everything_once(project: Project) -> None:
    """Each versions one batch that all have, and others of its own."""
    script = Path(__file__).with_name("versioning_worker.py")
    names = ("a", "b", "c")
    workers = [
        subprocess.Popen([sys.executable, script, project.folder, name], stderr=subprocess.PIPE, text=True)
        for name in names
    ]
    ended = [(worker.communicate()[1], worker.returncode) for worker in workers]
    assert [code for _, code in ended] == [0, 0, 0], ended
    for each in (SHARED, *(given for name in names for given in links(name))):
        assert len(project.log(f"^Batch: {each.id}")) == 1
    assert len(project.log("^Batch: ")) == 1 + len(names) * EACH
    fresh = project.workspace("fresh", "fresh-cache")
    fresh.synchronise()
    fresh.pull()
    assert verify(fresh.folder) == ()


def test_what_does_not_verify_is_told(project: Project) -> None:
    given, workspace = batch("one", images=3), project.workspace()
    workspace.version(given, read, PARAMS)
    folder = workspace.folder / "data/batches"
    first, second, _ = sorted(image.name for image in given.images)
    (folder / given.id / first).unlink()
    (folder / given.id / second).unlink()
    (folder / given.id / second).write_bytes(b"something else")
    (folder / given.id / "stray.jpg").touch()
    (folder / "other.csv").write_bytes((folder / f"{given.id}.csv").read_bytes())
    told = "\n".join(verify(workspace.folder))
    for words in (
        f"{first} is not here",
        f"{second} has SHA-256",
        "stray.jpg is in no row",
        "is in batch",
        "no other.dvc",
    ):
        assert words in told


def test_the_same_batch_from_two_workspaces_is_one_commit(project: Project) -> None:
    given, commits = batch("one", images=3), []

    def read_while_the_other_is_faster(wanted: BatchImage) -> bytes:
        if not commits:
            commits.append(project.workspace("other").version(given, read, PARAMS).commit)
        return read(wanted)

    commits.append(project.workspace().version(given, read_while_the_other_is_faster, PARAMS).commit)
    assert len(project.log(f"^Batch: {given.id}")) == len(set(commits)) == 1


def test_an_upload_that_has_changed_is_refused(project: Project) -> None:
    with pytest.raises(DataError, match=r"upload uploads/.*one-0.jpg: wanted sha256 .* it has changed"):
        project.workspace().version(batch("one", images=1), lambda _: b"something else", PARAMS)
    assert not project.log("^Batch: ")


def test_a_stage_runs_the_code_of_its_clone_and_its_message_arrives(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho not this Python\nexit 9\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    project.change("src/hemaloop/dataset/manifest.py", "holds no images", "is empty, says the clone")
    workspace = project.workspace()
    workspace.synchronise()
    with pytest.raises(DataError, match=r"^stage assemble: data/batches is empty, says the clone.*`make demo`$"):
        workspace.reproduce("assemble")


def test_wrong_origins_are_wrong_settings(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        replace(project, origin=tmp_path / "absent.git").workspace().synchronise()
    project.workspace().synchronise()
    git(tmp_path, "clone", "-q", "--bare", str(project.origin), "another.git")
    with pytest.raises(ConfigError, match=r"is a clone of .*origin.git, not of .*another.git"):
        replace(project, origin=tmp_path / "another.git").workspace().synchronise()


def test_a_persons_clone_is_never_reset(project: Project) -> None:
    clone = project.clone("workspace")
    (clone / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="a clone that hemaloop did not make"):
        project.workspace().synchronise()
    assert (clone / "notes.txt").read_text() == "mine"


def test_a_checkout_that_is_no_bare_repository_is_refused(project: Project, tmp_path: Path) -> None:
    checkout = project.clone("checkout")
    before = git(checkout, "rev-parse", "HEAD")
    workspace = Workspace(tmp_path / "workspace", str(checkout), project.remote)
    link = Link(image("refused", "another").origin, "0" * 64, "near-duplicate")
    with pytest.raises(ConfigError, match="bare repository"):
        workspace.version(Batch((), (link,)), read, PARAMS)
    assert git(checkout, "rev-parse", "HEAD") == before


def test_one_writer_at_a_time(project: Project, held: Path) -> None:
    with pytest.raises(TransientError, match="another process has been writing"):
        project.workspace(lock_seconds=0.2).synchronise()


@pytest.fixture
def held(project: Project) -> Iterator[Path]:
    lock = project.folder / "workspace.lock"
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield lock


def test_what_was_left_behind_is_no_part_of_the_next_revision(project: Project) -> None:
    workspace, given = project.workspace(), batch("one", images=2)
    workspace.synchronise()
    batches = workspace.folder / "data/batches"
    (batches / given.id).mkdir()
    (batches / given.id / given.images[0].name).write_bytes(read(given.images[0])[:50])
    (batches / given.id / "stray.jpg").write_bytes(b"of nobody")
    (batches / "feed").mkdir()
    (batches / "feed/1.jpg").write_bytes(b"never finished")
    (batches / "feed.csv").write_text("never committed")
    (workspace.folder / "params.yaml").write_text("edited")
    (workspace.folder / ".git/index.lock").touch()
    workspace.version(given, read, PARAMS)
    assert sorted(project.files()) == [f"data/batches/{name}" for name in (".gitignore", *_names(given))]
    assert not (batches / "feed").exists()
    stored = {path.name: path.read_bytes() for path in (batches / given.id).iterdir()}
    assert stored == {one.name: read(one) for one in given.images}


def _names(given: Batch) -> tuple[str, str]:
    return (f"{given.id}.csv", f"{given.id}.dvc")
