"""`hemaloop import` in its three forms, on a real bucket: what comes in by it is ingested like any other upload."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ingest_site import PARAMS, environment, revision_files, settings_of

from bench.images import speckles as picture
from drill.site import make_origin
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.states import State
from hemaloop.storage import Bucket

pytestmark = [pytest.mark.slow]

BOX = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def labelled(folder: Path) -> dict[str, tuple[str, ...]]:
    """Images in each form: form -> the command's arguments."""
    write(folder / "folders/monocyte/a.jpg", picture(1))
    write(folder / "folders/basophil/b.jpg", picture(2))
    write(folder / "table/c.jpg", picture(3))
    write(folder / "table/d.jpg", picture(1))  # the same image as folders/monocyte/a.jpg
    lines = ("c.jpg,eos,p-1,ana,2026-01-31T09:00:00Z", "d.jpg,monocyte,p-2,,2026-01-31T09:00:00Z")
    write(folder / "table.csv", "\n".join(("file,label,patient,labelled_by,captured_at", *lines)))
    boxes = BOX.format("WBC", 20, 20, 260, 260) + BOX.format("RBC", 1, 1, 5, 5) + BOX.format("WBC", 300, 300, 480, 479)
    write(folder / "voc/JPEGImages/e.jpg", picture(4, side=480))
    write(folder / "voc/Annotations/e.xml", f"<annotation><filename>e.jpg</filename>{boxes}</annotation>")
    return {
        "folders": ("folders", "--device", "lab-1", "--slide", "s-1"),
        "csv": ("table", "--csv", "table.csv", "--device", "lab-2", "--map", "eos=eosinophil"),
        "voc": ("voc", "--voc", "--device", "lab-3", "--map", "WBC=neutrophil", "--map", "RBC=", "--margin", "0"),
    }


def hemaloop_import(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "hemaloop.cli", "import", *arguments, "--params", str(PARAMS)]
    done = subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_imported_images_are_validated_ledgered_and_versioned(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.ingest_plain import ingest_plain

    origin = make_origin(tmp_path)
    variables = environment(tmp_path / "home", bucket, origin)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    forms = labelled(tmp_path)
    assert "nothing was sent" in hemaloop_import(tmp_path, *forms["voc"], "--dry-run")
    assert list(bucket.list("uploads/")) == []
    told = {form: hemaloop_import(tmp_path, *arguments) for form, arguments in forms.items()}
    assert all("2 sent, 0 were there" in each for each in told.values())
    assert "hemaloop ingest --once" in told["csv"]
    assert "hemaloop ingest --once\n" in told["folders"]
    assert "0 sent, 2 were there" in hemaloop_import(tmp_path, *forms["voc"])

    settings = settings_of(variables)
    summary = ingest_plain(settings)

    assert (summary["accepted"], summary["duplicates"], summary["quarantined"]) == (5, 1, {})
    ledger = Ledger(settings.ledger)
    assert ledger.counts() == {State.VERSIONED: 5, State.DUPLICATE: 1}
    rows = revision_files(origin)[f"data/batches/{summary['batches'][0]['id']}.csv"]
    for said in ("lab-1,", "s-1", "eosinophil,ana", "p-1", "neutrophil,annotation", ",e,"):
        assert said in rows, rows
    first = next(stored.key for stored in bucket.list("uploads/lab-3/") if stored.key.endswith(".png"))
    (trace,) = ledger.history(first)
    assert trace.upload.sidecar is not None
    assert (trace.upload.sidecar.slide, trace.upload.sidecar.label) == ("e", "neutrophil")
    assert "0 sent, 2 were there" in hemaloop_import(tmp_path, *forms["voc"])
    assert ingest_plain(settings)["discovered"] == 0
