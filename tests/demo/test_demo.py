"""The whole loop, as `make demo` plays it, on synthetic smears and with a model too small to be good."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parents[2]
# The point is the machinery: few epochs, a small network (tests/stages/test_pipeline.py has that of params.yaml), small
# images, no weights to download, a gate that asks for little.
QUICK = {
    "prepare.size_px": 64,
    "prepare.steps": ["square", "resize"],
    "train.network": "wbc_cnn",
    "train.weights": "random",
    "train.head_epochs": 3,
    "train.epochs": 1,
    "prune.epochs": 1,
    "evaluate.bootstrap_rounds": 100,
    "evaluate.latency_runs": 10,
    "evaluate.examined_images": 10,
    "gate.macro_sensitivity_low": 0.0,
    "gate.calibration_error_low": 1.0,
    "gate.worst_subgroup": 0.0,
    "gate.drop_from_float": 1.0,
    "gate.drop_from_champion": 1.0,
    "gate.latency_ratio_to_float": 10.0,
}
BAD = ("empty", "not_an_image", "out_of_focus", "too_bright", "too_dark", "truncated")

pytestmark = [pytest.mark.slow, pytest.mark.longest, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like the project's folder for who types the documents' commands: .venv, .demo and params.yaml are there."""
    folder = tmp_path_factory.mktemp("project")
    for name in (".venv", "params.yaml"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def head_before() -> str:
    return git("status", "--porcelain") + git("rev-parse", "HEAD") + git("for-each-ref")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def summary(folder: Path, head_before: str) -> dict[str, Any]:
    """`make demo`, with quick settings."""
    arguments = ["--home", str(folder / ".demo"), *(f"--set={name}={value}" for name, value in QUICK.items())]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HEMALOOP_", "PREFECT_", "AWS_"))}
    done = subprocess.run(
        ["make", "demo", f"ARGS={shlex.join(arguments)}"], cwd=ROOT, env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    found: dict[str, Any] = json.loads((folder / ".demo/summary.json").read_text())
    return found


def test_every_image_ends_in_one_place(summary: dict[str, Any]) -> None:
    images = summary["images"]
    assert images["uploaded"] == images["accepted"] + sum(images["quarantined"].values()) + images["duplicates"]
    assert images["quarantined"] == dict.fromkeys(BAD, 1)
    assert images["duplicates"] == 2
    assert "synthetic" in images["source"]


def test_two_revisions_two_models_both_approved_by_enough(summary: dict[str, Any]) -> None:
    first, second = summary["revisions"]
    assert first["images"] < second["images"] == summary["images"]["accepted"]
    assert first["commit"] != second["commit"]
    assert [model["version"] for model in summary["models"]] == [1, 2]
    for model in summary["models"]:
        assert model["gate"] == "passed"
        assert len(set(model["approved_by"])) == 2
        assert model["int8"]["bytes"] < model["float"]["bytes"]


def test_both_devices_moved_and_refused_both_attacks(summary: dict[str, Any]) -> None:
    assert [device["id"] for device in summary["devices"]] == ["pi-1", "pi-2"]
    for device in summary["devices"]:
        assert (device["version"], device["self_test"]) == (2, "passed")
        assert device["refused_updates"] == 2
        assert device["classified"] > 0


def test_the_users_checkout_is_as_it_was(summary: dict[str, Any], head_before: str) -> None:
    assert git("status", "--porcelain") + git("rev-parse", "HEAD") + git("for-each-ref") == head_before


@pytest.fixture(scope="module")
def pages(folder: Path, summary: dict[str, Any]) -> Iterator[dict[str, str]]:
    """`make pages`, until the tests are done."""
    with (folder / "pages.log").open("w+") as log:
        command = ["make", "pages", f"ARGS=--home {shlex.quote(str(folder / '.demo'))}"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            while "Ctrl-C" not in (folder / "pages.log").read_text():
                assert process.poll() is None, (folder / "pages.log").read_text()
                time.sleep(0.5)
            yield summary["pages"]
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


def blocks(document: str) -> list[str]:
    """The shell commands of a document, a block each."""
    text = (ROOT / document).read_text()
    return [part.split("```")[0] for part in text.split("```sh\n")[1:]]


def shell(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_the_commands_of_the_readme_answer(folder: Path, summary: dict[str, Any]) -> None:
    commands = [block for block in blocks("README.md") if not block.startswith("make")]
    told = shell("\n".join(commands), folder)
    assert "out_of_focus" in told
    assert "pi-2" in told
    for block in blocks("README.md"):
        if block.startswith("make"):
            subprocess.run(["make", "-n", *shlex.split(block)[1:]], cwd=ROOT, check=True, capture_output=True)


def test_every_upload_can_tell_its_history(folder: Path, summary: dict[str, Any]) -> None:
    listing = blocks("README.md")[3]
    listed = shell(listing, folder)
    refused = next(line.split()[-1] for line in listed.splitlines() if line.startswith("truncated"))
    settings = listing.splitlines()[0]
    assert settings.startswith("eval")
    told = shell(f"{settings}\n.venv/bin/hemaloop why {refused}", folder)
    for word in ("discovered", "claimed", "quarantined", "truncated", "quarantine/"):
        assert word in told


def test_a_scientist_gets_the_bots_numbers_and_can_change_a_line(
    folder: Path, summary: dict[str, Any], pages: dict[str, str]
) -> None:
    study = folder / ".demo/study"
    look, change = blocks("docs/how-to/study.md")
    told = shell(look, folder)
    for name in ("train", "prune", "quantise", "evaluate"):
        assert f"Running stage '{name}'" not in told
    metrics = json.loads((study / "evaluation/metrics.json").read_text())
    assert metrics["int8"]["macro_sensitivity"] == summary["models"][-1]["int8"]["macro_sensitivity"]
    settings = 'eval "$(.venv/bin/hemaloop demo --env)"; export PATH="$PWD/.venv/bin:$PATH"; cd .demo/study\n'
    told = shell(settings + change, folder)
    assert "prune.channels" in told
    assert "Running stage 'prune'" in told
    assert "Running stage 'train'" not in told
    assert (study / "dvc_plots/index.html").exists()


def artifact(server: str, key: str) -> str:
    """The id of the oldest with this key: the demo's first round has everything that can be wrong."""
    asked = json.dumps({"artifacts": {"key": {"any_": [key]}}}).encode()
    request = urllib.request.Request(f"{server}/api/artifacts/filter", asked, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return str(min(json.load(response), key=lambda found: found["created"])["id"])


def test_the_pages_show_what_happened(summary: dict[str, Any], pages: dict[str, str]) -> None:
    """In a real browser: Prefect's flow runs, MLflow's model, the Data Docs' judgement."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        page = browser.new_page()
        page.goto(f"{pages['Prefect']}/runs")
        expect(page.get_by_text("retrain").first).to_be_visible(timeout=60_000)
        page.goto(f"{pages['Prefect']}/artifacts/artifact/{artifact(pages['Prefect'], 'refused-uploads')}")
        expect(page.get_by_text("too_dark").first).to_be_visible(timeout=60_000)
        widths = "[...document.images].filter(i => i.src.startsWith('data:image/jpeg')).map(i => i.naturalWidth)"
        assert min(page.evaluate(widths), default=0) > 0
        page.goto(page.get_by_role("link", name="uploads", exact=True).get_attribute("href") or "")
        expect(page.get_by_text("Expectation Validation Result").first).to_be_visible(timeout=60_000)
        page.goto(f"{pages['MLflow']}/#/models/hemaloop-classifier")
        expect(page.get_by_text("champion").first).to_be_visible(timeout=60_000)
        page.goto(pages["Data Docs"])
        expect(page.get_by_text("Data Docs").first).to_be_visible(timeout=60_000)
        browser.close()
