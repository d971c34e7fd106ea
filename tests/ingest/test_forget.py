"""A withdrawn consent: no byte of a person is left where we reach, and everybody else's images are as they were."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from ingest_site import CAPTURED, commits, environment, revision_files, settings_of

from bench.images import speckles as picture
from drill.forks import in_child
from drill.site import make_origin
from hemaloop.cli import main
from hemaloop.config import Settings
from hemaloop.dataset.verification import verify
from hemaloop.embedded import environment as environment_of
from hemaloop.embedded import running
from hemaloop.imaging import faults
from hemaloop.ingest.claims import claimant
from hemaloop.ingest.forgetting import Whose
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.states import State
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import UploadKey, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket
from tasks import ingest_steps
from tasks.forgetting import Report, find, forget
from tasks.ingest_plain import ingest_plain
from tasks.workspaces import training_workspace

pytestmark = pytest.mark.slow

PATIENT, OTHER = "p-withdrawn", "p-other"
PLACES = ("server/bucket", "home")


@dataclass
class Site:
    folder: Path
    settings: Settings
    bucket: Bucket
    origin: Path
    theirs: dict[str, bytes] = field(default_factory=dict)  # key -> bytes, of the patient
    others: dict[str, bytes] = field(default_factory=dict)

    def upload(self, name: str, data: bytes, patient: str | None, slide: str | None, theirs: bool) -> str:
        key = str(UploadKey("pi-1", CAPTURED.date(), name))
        taken = CAPTURED + timedelta(hours=len(self.theirs) + len(self.others))
        said = Sidecar(hashlib.sha256(data).hexdigest(), "pi-1", taken, slide, patient, label="monocyte")
        self.bucket.write(key, data)
        self.bucket.write(sidecar_key(key), encode(said))
        (self.theirs if theirs else self.others)[key] = data
        return key

    def forget(self) -> Report:
        return forget(self.settings, Whose(PATIENT), "ana", "she asked for it")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.settings.ledger)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Two people's images: in a revision and both clones, in quarantine, stripped, duplicates, sealed but no more."""
    origin = make_origin(tmp_path)
    with running(tmp_path / "server") as server, environment_of(server.environment()):
        bucket = Bucket("s3://hemaloop")
        with environment_of(environment(tmp_path / "home", bucket, origin)):
            site = Site(tmp_path, settings_of(os.environ), bucket, origin)
            for seed in range(3):
                site.upload(f"theirs-{seed}", picture(seed), PATIENT, "s1", theirs=True)
                site.upload(f"other-{seed}", picture(10 + seed), OTHER, f"t{seed}", theirs=False)
            site.upload("same-slide", picture(3), None, "s1", theirs=True)
            site.upload("again", picture(0), None, "s9", theirs=True)
            site.upload("reencoded", faults.reencode(picture(1)), None, None, theirs=True)
            site.upload("dark", faults.darken(picture(4)), PATIENT, None, theirs=True)
            site.upload("located", faults.with_gps(picture(5)), PATIENT, None, theirs=True)
            site.upload("z-near-other", faults.reencode(picture(2)), OTHER, "t0", theirs=False)
            ingest_plain(site.settings)
            training = training_workspace(site.settings)
            training.synchronise()
            training.pull()
            site.upload("sealed", picture(6), PATIENT, None, theirs=True)
            site.upload("sealed-too", picture(14), OTHER, "t2", theirs=False)
            up_to_the_seal(site.settings)
            yield site


def up_to_the_seal(settings: Settings) -> None:
    path = ingest_steps.find_params(settings, None, newest=False)
    with claimant(Ledger(settings.ledger), settings.home / "claims", 60) as owner:
        ingest_steps.discover(settings, path, owner)
        claimed = ingest_steps.claim(settings, path, owner)
        measured = [
            found
            for chunk in ingest_steps.plan_chunks(settings, path, claimed)
            for found in ingest_steps.measure(chunk)
        ]
        ingest_steps.settle(settings, path, measured, ingest_steps.judge(settings, path, measured), owner)
        ingest_steps.seal(settings, path, owner)


def left_of(site: Site, images: dict[str, bytes]) -> list[str]:
    """Files below bucket, home and workspaces that hold an image, or a piece of one, or speak of it."""
    pieces = {data[start : start + 48] for data in images.values() for start in range(800, len(data) - 48, 1500)}
    words = {key.encode() for key in images} | {PATIENT.encode()}
    found = []
    for path in (path for place in PLACES for path in (site.folder / place).rglob("*") if path.is_file()):
        data = path.read_bytes()
        if any(piece in data for piece in pieces):
            found.append(f"{path}: a piece")
        if ".git" not in path.parts and any(word in data for word in words):
            found.append(f"{path}: words")
    return found


def kept_sides(site: Site) -> dict[str, str]:
    """SHA-256 -> group and side, of the other's images in main."""
    texts = [text for name, text in revision_files(site.origin).items() if is_images(name)]
    rows = [line.split(",") for text in texts for line in text.splitlines()[1:]]
    return {row[0]: f"{row[4]} {row[5]}" for row in rows if row[8] == OTHER}


def is_images(name: str) -> bool:
    return name.startswith("data/batches/") and name.endswith(".csv") and not name.endswith(".links.csv")


def check_forgotten(site: Site, sides: dict[str, str]) -> None:
    assert left_of(site, site.theirs) == []
    assert kept_sides(site) == sides
    ledger = site.ledger
    assert ledger.counts()[State.FORGOTTEN] == len(site.theirs)
    assert not any(ledger.history(key) for key in site.theirs)
    for key, data in site.others.items():
        assert site.bucket.read(key) == data
        assert ledger.history(key)[0].upload.sha256 == hashlib.sha256(data).hexdigest()
    fresh = site.folder / f"fresh-{len(list(site.folder.glob('fresh-*')))}"
    run(site.folder, "git", "clone", "-q", str(site.origin), str(fresh))
    run(fresh, sys.executable, "-m", "dvc", "pull", "-q")
    assert verify(fresh) == ()
    for name in ("other-0", "other-2"):
        upload = ledger.history(f"uploads/pi-1/2026/11/20/{name}.jpg")[0].upload
        assert upload.batch is not None
        assert f"data/batches/{upload.batch}.csv" in revision_files(site.origin)
        assert f"Batch: {upload.batch}" in "\n".join(commits(site.origin))


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_killed_anywhere_it_ends_with_nothing_of_the_person_and_all_of_everybody_else(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert left_of(site, site.theirs), "the scan finds them"
    sides, effects = kept_sides(site), 5
    old = run(site.origin, "git", "rev-parse", "main").strip()
    assert find(site.settings, Whose(PATIENT)).doubtful == ("uploads/pi-1/2026/11/20/z-near-other.jpg",)
    while in_child(partial(die_after, site, effects)) == -signal.SIGKILL:
        effects *= 2
    assert effects > 100, "it was killed five times or more"
    check_forgotten(site, sides)
    assert ["Forgotten: 5 images" in message for message in commits(site.origin)].count(True) == 1
    check_command(capsys)
    check_old_revision(site, old)
    check_not_let_in_again(site, sides)


def check_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It asks first; and forgetting what is forgotten does nothing."""
    words = ["forget", "--patient", PATIENT, "--person", "ana", "--reason", "she asked for it"]
    for more, code, said in (([], 2, "nothing was done"), (["--yes"], 0, "0 images left the dataset")):
        with pytest.raises(SystemExit) as ended:
            main([*words, *more])
        assert ended.value.code == code
        assert said in capsys.readouterr().out


def check_old_revision(site: Site, commit: str) -> None:
    """It says what it lacks; nobody's bytes come back with it."""
    clone = site.folder / "scientist"
    run(site.folder, "git", "clone", "-q", str(site.origin), str(clone))
    run(clone, "git", "checkout", "-q", commit)
    pulled = subprocess.run([sys.executable, "-m", "dvc", "pull"], cwd=clone, capture_output=True, text=True)
    assert pulled.returncode != 0
    assert "missing" in (pulled.stdout + pulled.stderr).lower()


def check_not_let_in_again(site: Site, sides: dict[str, str]) -> None:
    """Neither the same object without a sidecar, nor another image that names the person."""
    key = "uploads/pi-1/2026/11/20/theirs-0.jpg"
    site.bucket.write(key, site.theirs[key])
    site.bucket.write(sidecar_key(key), encode(Sidecar(hashlib.sha256(site.theirs[key]).hexdigest(), "pi-1", CAPTURED)))
    site.upload("new", picture(7), PATIENT, None, theirs=True)
    summary = ingest_plain(site.settings)
    assert (summary["accepted"], summary["quarantined"]) == (0, {"consent_withdrawn": 2})
    there = {stored.key for stored in site.bucket.list("uploads/") if stored.key.endswith(".jpg")}
    assert there == set(site.others)
    assert [batch["images"] for batch in summary["batches"]] == [1]  # the other's, whose batch had been opened
    assert kept_sides(site).items() > sides.items()


def die_after(site: Site, effects: int) -> None:
    """Forget; but be killed at one of the effects: a commit of the ledger, a deleted object or file, a command."""
    import sqlalchemy

    left = [effects]

    def cross() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(cls: type, method: str) -> None:
        original: Callable = getattr(cls, method)

        def crossing(*args, **options):
            cross()
            done = original(*args, **options)
            cross()
            return done

        setattr(cls, method, crossing)

    around(sqlalchemy.Connection, "commit")
    around(Bucket, "delete")
    sys.addaudithook(lambda event, _: cross() if event in ("subprocess.Popen", "os.remove", "shutil.rmtree") else None)
    site.forget()
