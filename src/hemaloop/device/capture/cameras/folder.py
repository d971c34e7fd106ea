"""A folder that something else writes images to."""

from collections.abc import Iterator
from pathlib import Path

from hemaloop.device.capture.cameras.frame import Frame
from hemaloop.device.home import Clock
from hemaloop.device.journal import Journal
from hemaloop.errors import ConfigError
from hemaloop.protocol.keys import IMAGE_SUFFIXES


class FolderCamera:
    """Each file is one frame, delivered once.

    Whoever writes there should write under another name and rename: a half-written image is a frame too.
    Folders and files beside an image say nothing of what it shows: devices don't label.
    """

    keeps = True

    def __init__(self, folder: Path, journal: Journal, clock: Clock) -> None:
        self._folder = folder
        self._journal = journal
        self._clock = clock

    def frames(self) -> Iterator[Frame]:
        """Raises: ConfigError: there is no such folder."""
        if not self._folder.is_dir():
            raise ConfigError(f"camera: there is no folder {self._folder}: mend `camera` in device.toml")
        for path in sorted(self._folder.rglob("*")):
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file():
                name = self._name(path)
                if not self._journal.is_delivered(name):
                    # The time is remembered before anything else is done: a frame shown again after a kill
                    # gets the same capture id, and counts once.
                    captured_at = self._journal.first_seen(name, self._clock())
                    yield Frame(name, captured_at, path.suffix.lower(), path.read_bytes())

    def deliver(self, frame: Frame) -> None:
        self._journal.deliver(frame.name)

    def _name(self, path: Path) -> str:
        """Cameras use names again: a file that was written anew is another frame."""
        stat = path.stat()
        return f"{path.relative_to(self._folder)}:{stat.st_size}:{stat.st_mtime_ns}"
