"""hemaloop-device as a person runs it."""

import json
import subprocess
import sys
import time
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from device_bench import Cloud, Pi, build, image

REPOSITORY = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("hemaloop-device")

# Refuses every module that comes from none of the packages named on the command line.
ALONE = """
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in allowed or top in sys.stdlib_module_names or top.startswith("_"):
            return None
        raise ModuleNotFoundError(f"{top} is not in device.lock", name=name)
allowed = set(json.loads(sys.argv[1]))
sys.meta_path.insert(0, Refuse())
sys.path = [path for path in sys.path if "__editable__" not in path]
import importlib, pkgutil
import hemaloop.device
for module in pkgutil.walk_packages(hemaloop.device.__path__, "hemaloop.device."):
    importlib.import_module(module.name)
from hemaloop.device.transport import open_transport
open_transport("s3://bucket")
from hemaloop.device.cli import main
main(["--help"])
"""


def device(*args: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True, check=False)


def locked_modules() -> list[str]:
    """The modules that the packages of device.lock bring, and hemaloop."""
    lock = (REPOSITORY / "requirements/device.lock").read_text().splitlines()
    names = {line.split("==")[0].strip().lower().replace("_", "-") for line in lock if "==" in line}
    found = packages_distributions()
    return [
        "hemaloop",
        *(top for top, owners in found.items() if {each.lower().replace("_", "-") for each in owners} & names),
    ]


def test_the_device_needs_nothing_but_its_own_lock() -> None:
    modules = locked_modules()
    assert "cv2" in modules
    assert not {"prefect", "tensorflow", "pandas", "yaml", "rich", "sqlalchemy", "fsspec"} & set(modules)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ALONE, json.dumps(modules)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage: hemaloop-device" in done.stdout


def test_help_comes_at_once() -> None:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert device("--help").returncode == 0
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.3


def test_a_device_that_was_never_set_up_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEMALOOP_DEVICE_HOME", raising=False)
    done = device("status")
    assert (done.returncode, "HEMALOOP_DEVICE_HOME" in done.stderr) == (2, True)
    done = device("status", "--home", tmp_path)
    assert (done.returncode, "hemaloop-device init" in done.stderr) == (2, True)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_set_up_refuses_what_it_could_not_run_with(cloud: Cloud, tmp_path: Path) -> None:
    root = cloud.offline / "root.json"
    (tmp_path / "forged.json").write_text(root.read_text().replace('"sig":"', '"sig":"0'))
    common = ("init", "--home", tmp_path / "pi", "--channel", "stable")
    for args, said in [
        (("--id", "pi/1", "--bucket", "s3://b", "--root", root), "id 'pi/1'"),
        (("--id", "pi-1", "--bucket", "http://b", "--root", root), "wanted s3://NAME"),
        (("--id", "pi-1", "--bucket", "s3://b", "--root", tmp_path / "none"), "No such file"),
        (("--id", "pi-1", "--bucket", "s3://b", "--root", tmp_path / "forged.json"), "wanted a TUF root"),
        (("--id", "pi-1", "--bucket", "s3://b", "--root", root, "--um-per-px", "0"), "um_per_px"),
    ]:
        done = device(*common, *args)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "pi").exists()


@pytest.mark.slow
def test_a_microscope_that_is_not_plugged_in_ends_a_round_with_2_and_shows_in_the_status(
    cloud: Cloud, tmp_path: Path
) -> None:
    home = tmp_path / "pi"
    common = ("init", "--home", home, "--id", "pi-1", "--channel", "stable", "--root", cloud.offline / "root.json")
    assert device(*common, "--bucket", cloud.bucket.url, "--camera", "usb:9").returncode == 0
    done = device("run", "--once", "--home", home)
    assert (done.returncode, "camera usb:9 cannot be opened" in done.stderr) == (2, True), done.stderr
    assert "reports sent 1" in done.stdout, "the rest of the round goes on"
    status = json.loads(device("status", "--json", "--home", home).stdout)
    assert "camera usb:9 cannot be opened" in status["last_problem"]
    assert (status["capture"]["camera"], status["capture"]["last_frame"]) == ("usb:9", None)


@pytest.mark.slow
def test_set_up_update_classify_and_status(cloud: Cloud, tmp_path: Path) -> None:
    home = tmp_path / "pi-7"
    done = device(
        "init", "--home", home, "--id", "pi-7", "--bucket", cloud.bucket.url, "--channel", "stable",
        "--root", cloud.offline / "root.json", "--stain", "giemsa",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (tmp_path / "a.png").write_bytes(image("monocyte"))
    (tmp_path / "broken.png").write_bytes(image("monocyte")[:200])
    done = device("classify", "--home", home, tmp_path / "a.png")
    assert (done.returncode, "run `hemaloop-device update`" in done.stderr) == (2, True)
    cloud.release(build(4))
    done = device("update", "--home", home)
    assert (done.returncode, done.stdout) == (0, "updated to release 4 (before: none)\n")
    done = device("classify", "--json", "--home", home, tmp_path / "broken.png", tmp_path / "none", tmp_path / "a.png")
    broken, missing, good = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 3
    assert set(broken) == set(missing) == {"path", "error"}
    assert set(good) == {"path", "label", "probabilities", "model", "latency_ms"}
    assert (good["label"], good["model"], set(good["probabilities"])) == (
        "monocyte",
        "4",
        {"lymphocyte", "monocyte", "neutrophil"},
    )
    status = json.loads(device("status", "--json", "--home", home).stdout)
    assert (status["id"], status["version"], status["slots"]) == ("pi-7", 4, {"A": 4, "B": None})
    assert (status["self_test"], status["refused_updates"]) == ("passed", [])
    assert "release 4 in slot A" in device("status", "--home", home).stdout


@pytest.mark.slow
def test_a_refused_update_exits_5_and_shows_in_the_status(cloud: Cloud, pi: Pi) -> None:
    cloud.release(build(1))
    pi.update()
    before = pi.slots.active()
    cloud.thief_signs_a_model_as_a_channel(build(2))
    done = device("update", "--home", pi.home.folder)
    assert (done.returncode, "the approvers have signed no models/2.zip" in done.stderr) == (5, True)
    assert pi.slots.active() == before
    status = json.loads(device("status", "--json", "--home", pi.home.folder).stdout)
    assert [each["version"] for each in status["refused_updates"]] == [2]
    assert "refused" in status["last_update"]
