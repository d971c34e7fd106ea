"""A device's home folder: its settings, its trusted root, and where everything else lies."""

import fcntl
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from hemaloop.errors import ConfigError, DataError, TransientError
from hemaloop.files import write_atomically
from hemaloop.protocol.documents import build
from hemaloop.protocol.keys import must_be_name
from hemaloop.protocol.sidecar import Sidecar

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class DeviceSettings:
    """<home>/device.toml. Patient and slide are pseudonyms, never names."""

    id: str
    bucket: str  # s3://NAME or file:///FOLDER
    channel: str
    camera: str | None = None  # a folder that a camera writes images to, usb:DEVICE, or replay:FOLDER_OR_VIDEO
    camera_size: str = "640x480"  # px; of a USB camera
    camera_rate: float = 2.0  # frames a second; of a USB camera or a replayed set
    camera_seconds: float = 30.0  # of each round; of these two as well
    slide: str | None = None
    patient: str | None = None
    stain: str | None = None
    um_per_px: float | None = None  # micrometres per pixel
    spool_bytes: int = 2**30  # images not yet uploaded or classified take no more than this
    drop_when_full: bool | None = None  # give up images that wait for upload; None: where the camera does not keep them
    min_focus: float = 3.0  # a frame with less is not sent; as hemaloop.imaging.measure has it; 0 sends all
    min_new: float = 0.5  # the least share of a frame that no sent one of this slide shows; 0 sends all
    budget_bytes: int | None = None  # that uploads may cost in an hour or a day
    budget_per: str = "day"  # or "hour"

    def __post_init__(self) -> None:
        must_be_name("id", self.id)
        must_be_name("channel", self.channel)
        if not self.bucket.startswith(("s3://", "file:///")):
            raise DataError(f"bucket {self.bucket!r}: wanted s3://NAME or file:///FOLDER")
        if self.spool_bytes < 1:
            raise DataError(f"spool_bytes {self.spool_bytes}: wanted a number of bytes above 0")
        self._check_camera()
        self._check_sending()
        self.sidecar("0" * 64, utc_now())  # what a sidecar refuses is refused here, before any image is taken

    def size(self) -> tuple[int, int]:
        """(width, height) px. Raises: DataError."""
        match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", self.camera_size)
        if match is None:
            raise DataError(f'camera_size {self.camera_size!r}: wanted WIDTHxHEIGHT in pixels, as "1600x1200"')
        return int(match[1]), int(match[2])

    def _check_camera(self) -> None:
        self.size()
        if not 0 < self.camera_rate <= 30:
            raise DataError(f"camera_rate {self.camera_rate}: wanted frames a second, above 0, at most 30")
        if not 0 < self.camera_seconds <= 300:
            raise DataError(f"camera_seconds {self.camera_seconds}: wanted seconds of a round, above 0, at most 300")

    def _check_sending(self) -> None:
        if not 0 <= self.min_new <= 1:
            raise DataError(f"min_new {self.min_new}: wanted a share, 0 to 1")
        if self.min_focus < 0:
            raise DataError(f"min_focus {self.min_focus}: wanted 0 or more")
        if self.budget_bytes is not None and self.budget_bytes < 1:
            raise DataError(f"budget_bytes {self.budget_bytes}: wanted a number of bytes above 0, or no such line")
        if self.budget_per not in ("hour", "day"):
            raise DataError(f'budget_per {self.budget_per!r}: wanted "hour" or "day"')

    def sidecar(self, sha256: str, captured_at: datetime) -> Sidecar:
        """What this device says of an image. It never says what the image shows: devices don't label."""
        return Sidecar(sha256, self.id, captured_at, self.slide, self.patient, self.stain, self.um_per_px)


@dataclass(frozen=True)
class Home:
    folder: Path

    @property
    def settings(self) -> Path:
        return self.folder / "device.toml"

    @property
    def root(self) -> Path:
        """The TUF root that this device was given at set-up: all its trust starts there."""
        return self.folder / "root.json"

    @property
    def metadata(self) -> Path:
        return self.folder / "metadata"

    @property
    def downloads(self) -> Path:
        return self.folder / "downloads"

    @property
    def slots(self) -> Path:
        return self.folder / "slots"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def seen(self) -> Path:
        """What the frames that were sent last look like."""
        return self.folder / "seen"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.db"

    def read_settings(self) -> DeviceSettings:
        """Raises: ConfigError: the device was never set up, or device.toml is wrong."""
        try:
            values = tomllib.loads(self.settings.read_text())
            return build(values, DeviceSettings)
        except FileNotFoundError:
            raise ConfigError(
                f"{self.settings} is not there: run `hemaloop-device init` first, or set --home"
            ) from None
        except (tomllib.TOMLDecodeError, DataError) as error:
            raise ConfigError(f"{self.settings}: {error}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process changes a home at a time. Raises: TransientError: another does."""
        with (self.folder / "lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TransientError(f"another hemaloop-device is at work in {self.folder}: try again later") from None
            yield


def set_up(home: Home, settings: DeviceSettings, root: bytes) -> None:
    """Write a new home folder. The settings come last: where they are, the root is.

    Raises:
        ConfigError: `root` is no self-signed TUF root, or the device trusts another one already.
    """
    _check_root(root)
    if home.root.exists() and home.root.read_bytes() != root:
        raise ConfigError(f"{home.root} is another trusted root: to trust this one instead, set up a new home folder")
    write_atomically(home.root, root)
    write_atomically(home.settings, _toml(settings).encode())


def _check_root(root: bytes) -> None:
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Root

    try:
        metadata: Metadata[Root] = Metadata[Root].from_bytes(root)
        metadata.verify_delegate(Root.type, metadata)
    except (RepositoryError, ValueError) as error:
        raise ConfigError(f"--root: wanted a TUF root signed by its own keys: {error}") from error


def _toml(settings: DeviceSettings) -> str:
    """JSON's strings and numbers are TOML's too."""
    return "".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
        for name, value in asdict(settings).items()
        if value is not None
    )
