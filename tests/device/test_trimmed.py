"""What deploy/device/trim.sh leaves of an install is enough for a whole round, and opens no video by FFmpeg."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import venv
from pathlib import Path

import cv2
import numpy as np
import pytest
from device_bench import build, hold, new_pi

from hemaloop.errors import ConfigError
from hemaloop.storage import Bucket

REPOSITORY = Path(__file__).parents[2]
TRIM = REPOSITORY / "deploy/device/trim.sh"
LOCK = REPOSITORY / "requirements/device.lock"
AGENT = "import sys; from hemaloop.device.cli import main; sys.exit(main())"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of an environment with the packages of a device alone, copied from this one, and trimmed."""
    folder = tmp_path_factory.mktemp("device")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python3.*/site-packages")
    for name in re.findall(r"^([a-z0-9-]+)==", LOCK.read_text(), re.MULTILINE):
        copy(name, packages)
    subprocess.run([TRIM, packages], check=True, capture_output=True)
    return folder / "bin/python"


def copy(name: str, packages: Path) -> None:
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        return  # for another system
    for file in files:
        # botocore's descriptions of services are thousands of files; nobody wants those of the others.
        other_service = file.parts[:2] == ("botocore", "data") and len(file.parts) > 3 and file.parts[2] != "s3"
        if ".." not in file.parts and "__pycache__" not in file.parts and not other_service:
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target)


def run(python: Path, *words: object) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    command = [str(word) for word in (python, *words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_agent_does_a_whole_round_with_it(python: Path, bucket: Bucket, tmp_path: Path) -> None:
    """S3, TUF, the self-test beside it, and the model."""
    cloud = hold(bucket, tmp_path / "keys")
    cloud.release(build(1))
    camera = tmp_path / "camera"
    camera.mkdir()
    for number, suffix in enumerate((".png", ".jpg")):
        field = np.random.default_rng(number).integers(0, 255, (480, 640, 3), np.uint8)
        cv2.imwrite(str(camera / f"{number}{suffix}"), field)
    home = new_pi(cloud, tmp_path / "pi-1", camera=camera)
    done = run(python, "-c", AGENT, "run", "--once", "--home", home.folder)
    assert (done.returncode, done.stderr.count("WARNING")) == (0, 0), done.stderr
    assert "uploaded 2, classified 2, reports sent 1; updated to release 1" in done.stdout


def test_it_loads_no_ffmpeg_and_refuses_a_video_with_words(python: Path, bucket: Bucket, tmp_path: Path) -> None:
    seen = run(python, "-c", "import cv2; print(cv2.__file__, open('/proc/self/maps').read())")
    assert seen.stdout.startswith(str(python.parents[1]))
    assert not re.search(r"libav(codec|format|util)|libsw|libcrypto", seen.stdout)

    video = tmp_path / "field.mp4"
    video.write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    cloud = hold(bucket, tmp_path / "keys")
    home = new_pi(cloud, tmp_path / "pi-1")
    home.settings.write_text(f'{home.settings.read_text()}\ncamera = "replay:{video}"\n')
    done = run(python, "-c", AGENT, "run", "--once", "--home", home.folder)
    assert done.returncode == ConfigError.exit_code, done.stderr
    assert f"camera replay:{video} cannot be opened" in done.stderr
