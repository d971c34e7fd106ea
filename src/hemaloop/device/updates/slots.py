"""Two places for a model: one works while the other changes.

<slots>/A/, <slots>/B/     model.tflite, golden/, and release.json, written last
<slots>/active.json        Active: which one runs; switched by one rename
"""

import hashlib
import shutil
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from hemaloop.device.updates.rules import Running
from hemaloop.errors import ConfigError, DataError, UntrustedError
from hemaloop.files import write_atomically
from hemaloop.protocol.bundle import GOLDEN, MODEL, RELEASE, Bundle, Release
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import NAME

NAMES = ("A", "B")


@dataclass(frozen=True)
class Held:
    """What the idle slot holds, as it passed its self-test here."""

    version: int
    sha256: str  # of model.tflite
    shadow: bool = False  # it runs beside the active one; else it is what ran before


@dataclass(frozen=True)
class Active:
    slot: str
    version: int
    highest: int  # the newest version that ever ran here
    sha256: str  # of model.tflite
    since: datetime
    probation: int = 0  # images that it must answer before it is kept; 0: it has nothing to come back to
    idle: Held | None = None
    failed: dict[str, str] = field(default_factory=dict)  # version -> why it is not to be taken again here
    returned: str = ""  # why the model before came back, until another is taken


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
            failed=frozenset(int(version) for version in active.failed),
        )

    def model(self) -> Model:
        """The model that runs.

        Raises:
            ConfigError: there is none yet.
            DataError: its file is not what passed the self-test.
        """
        active = self._must_be_active()
        if self._digest(active.slot) != active.sha256:
            raise DataError(
                f"the model in slot {active.slot} is damaged: run `hemaloop-device update` to fetch it again"
            )
        return Model(active.version, (self._folder / active.slot / MODEL).read_bytes())

    def to_measure(self) -> tuple[int, Path, list[Path]]:
        """The version that runs, its file, and its golden images. Raises: ConfigError: there is none yet."""
        active = self._must_be_active()
        folder = self._folder / active.slot
        return active.version, folder / MODEL, sorted((folder / GOLDEN).iterdir())

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

    def switch(self, version: int, at: datetime, probation: int = 0) -> None:
        """Make the idle slot the active one, in one rename; it has `probation` images to answer."""
        before, slot = self.active(), self._idle()
        if before is None:
            self._write(Active(slot, version, version, self._digest(slot), at))
            return
        intact = self._digest(before.slot) == before.sha256
        idle = Held(before.version, before.sha256) if intact else None
        highest = max(version, before.highest)
        probation = probation if idle and version > before.version else 0
        self._write(Active(slot, version, highest, self._digest(slot), at, probation, idle, before.failed))

    def back(self, at: datetime, why: str, failed: bool) -> None:
        """Make what `idle` speaks of the active one again, in one rename; `failed`: never take the other again."""
        before = self.active()
        if before is None or before.idle is None:
            raise ConfigError("slots: there is no model to go back to")
        versions = before.failed | {str(before.version): why} if failed else before.failed
        idle = before.idle
        self._write(Active(self._idle(), idle.version, before.highest, idle.sha256, at, failed=versions, returned=why))

    def run_beside(self, version: int) -> None:
        """What lies in the idle slot is to answer beside the active model."""
        active = self._must_be_active()
        self._write(replace(active, idle=Held(version, self._digest(self._idle()), shadow=True)))

    def end_beside(self) -> None:
        """No model answers beside the active one any more."""
        active = self._must_be_active()
        if active.idle is not None and active.idle.shadow:
            self._write(replace(active, idle=replace(active.idle, shadow=False)))

    def avoid(self, version: int, why: str) -> None:
        """Never take a version here, be it to run alone or beside another."""
        active = self._must_be_active()
        self._write(replace(active, failed=active.failed | {str(version): why}))

    def forget_failures(self) -> None:
        """What failed here may be tried again."""
        active = self.active()
        if active is not None:
            self._write(replace(active, failed={}))

    def idle(self) -> tuple[Held, Path] | None:
        """The idle slot's model and folder, where it is whole and the one that passed its self-test."""
        active = self.active()
        if active is None or active.idle is None:
            return None
        slot = self._idle()
        release = self.release(slot)
        whole = release is not None and release.version == active.idle.version
        if not whole or self._digest(slot) != active.idle.sha256:
            return None
        return active.idle, self._folder / slot

    def _must_be_active(self) -> Active:
        active = self.active()
        if active is None:
            raise ConfigError("no model yet: run `hemaloop-device update`")
        return active

    def _write(self, active: Active) -> None:
        write_atomically(self._folder / "active.json", encode(active))

    def _idle(self) -> str:
        active = self.active()
        return NAMES[1] if active and active.slot == NAMES[0] else NAMES[0]

    def _digest(self, slot: str) -> str:
        """ "" when there is no model."""
        path = self._folder / slot / MODEL
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
