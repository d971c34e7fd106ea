"""The demo's two devices: processes of their own, with folders of their own."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemaloop.errors import HemaloopError


@dataclass(frozen=True)
class Microscope:
    """One device."""

    id: str
    home: Path
    camera: Path  # what is put here, its camera has seen

    def set_up(self, bucket: str, root: Path, channel: str) -> None:
        self.camera.mkdir(parents=True, exist_ok=True)
        self._agent(
            "init", "--id", self.id, "--bucket", bucket, "--root", str(root), "--channel", channel,
            "--camera", str(self.camera), "--slide", f"field-{self.id}",
        )  # fmt: skip

    def see(self, paths: list[Path]) -> None:
        """Put images before the camera."""
        for path in paths:
            shutil.copy(path, self.camera / path.name)

    def run(self) -> str:
        """One round of the agent; what it said. A refused update ends it with 5, and is no failure of the demo."""
        return self._agent("run", "--once", allowed=(0, 3, 5))

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._agent("status", "--json"))
        return found

    def _agent(self, command: str, *arguments: str, allowed: tuple[int, ...] = (0,)) -> str:
        line = [sys.executable, "-m", "hemaloop.device.cli", command, "--home", str(self.home), *arguments]
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode not in allowed:
            raise HemaloopError(f"{self.id}: hemaloop-device {command} ended with {done.returncode}: {done.stderr}")
        return done.stdout.strip()
