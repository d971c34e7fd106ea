"""Two places for a model: one works while the other changes.

<slots>/A/, <slots>/B/     model.tflite, golden/, and release.json, written last
<slots>/active.json        Active: which one runs; switched by one rename
"""

import hashlib
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hemaloop.device.rules import Running
from hemaloop.errors import ConfigError, DataError, UntrustedError
from hemaloop.files import write_atomically
from hemaloop.protocol.bundle import GOLDEN, MODEL, RELEASE, Bundle, Release
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import NAME

NAMES = ("A", "B")


@dataclass(frozen=True)
class Active:
    slot: str
    version: int
    highest: int  # the newest version that ever ran here
    sha256: str  # of model.tflite
    since: datetime


@dataclass(frozen=True)
class Model:
    version: int
    content: bytes


class Slots:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def active(self) -> Active | None:
        """None before the first model. Raises: DataError: active.json is damaged."""
        try:
            return decode((self._folder / "active.json").read_bytes(), Active)
        except FileNotFoundError:
            return None

    def running(self) -> Running | None:
        """What the rule for updates wants to know."""
        active = self.active()
        if active is None:
            return None
        release = self.release(active.slot)
        return Running(
            version=active.version,
            highest=active.highest,
            fallback=release.fallback if release else None,
            intact=release is not None and self._digest(active.slot) == active.sha256,
        )

    def model(self) -> Model:
        """The model that runs.

        Raises:
            ConfigError: there is none yet.
            DataError: its file is not what passed the self-test.
        """
        active = self.active()
        if active is None:
            raise ConfigError("no model yet: run `hemaloop-device update`")
        if self._digest(active.slot) != active.sha256:
            raise DataError(
                f"the model in slot {active.slot} is damaged: run `hemaloop-device update` to fetch it again"
            )
        return Model(active.version, (self._folder / active.slot / MODEL).read_bytes())

    def release(self, slot: str) -> Release | None:
        """What a slot holds; None when it is empty or half-written."""
        try:
            return decode((self._folder / slot / RELEASE).read_bytes(), Release)
        except (FileNotFoundError, DataError):
            return None

    def install(self, bundle: Bundle) -> Path:
        """Write a bundle to the idle slot; what runs is not touched.

        Raises: UntrustedError: a golden image's name is a path.
        """
        for image in bundle.release.golden:
            if not NAME.fullmatch(image.name):
                raise UntrustedError(f"release {bundle.release.version}: golden image {image.name!r} is no file name")
        folder = self._folder / self._idle()
        shutil.rmtree(folder, ignore_errors=True)
        write_atomically(folder / MODEL, bundle.model)
        for image in bundle.release.golden:
            write_atomically(folder / GOLDEN / image.name, bundle.golden[image.name])
        write_atomically(folder / RELEASE, encode(bundle.release))
        return folder

    def switch(self, version: int, at: datetime) -> None:
        """Make the idle slot the active one, in one rename."""
        before, slot = self.active(), self._idle()
        highest = max(version, before.highest) if before else version
        active = Active(slot, version, highest, self._digest(slot), at)
        write_atomically(self._folder / "active.json", encode(active))

    def _idle(self) -> str:
        active = self.active()
        return NAMES[1] if active and active.slot == NAMES[0] else NAMES[0]

    def _digest(self, slot: str) -> str:
        """ "" when there is no model."""
        path = self._folder / slot / MODEL
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
