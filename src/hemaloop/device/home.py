"""A device's home folder: its settings, its trusted root, and where everything else lies."""

import fcntl
import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from hemaloop.errors import ConfigError, DataError, TransientError
from hemaloop.files import write_atomically
from hemaloop.protocol.documents import build
from hemaloop.protocol.keys import NAME
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
    camera: str | None = None  # a folder that a camera writes images to
    slide: str | None = None
    patient: str | None = None
    stain: str | None = None
    um_per_px: float | None = None  # micrometres per pixel
    spool_bytes: int = 2**30  # images not yet uploaded or classified take no more than this

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.id):
            raise DataError(f"id {self.id!r}: wanted letters, digits, '_', '.' and '-', at most 100")
        if not NAME.fullmatch(self.channel):
            raise DataError(f"channel {self.channel!r}: wanted letters, digits, '_', '.' and '-', at most 100")
        if not self.bucket.startswith(("s3://", "file:///")):
            raise DataError(f"bucket {self.bucket!r}: wanted s3://NAME or file:///FOLDER")
        if self.spool_bytes < 1:
            raise DataError(f"spool_bytes {self.spool_bytes}: wanted a number of bytes above 0")
        self.sidecar("0" * 64, utc_now())  # what a sidecar refuses is refused here, before any image is taken

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
