"""What a camera gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Frame:
    name: str  # the camera's own name for it; never repeated
    captured_at: datetime  # the same each time the frame is shown
    suffix: str
    data: bytes


class Camera(Protocol):
    """A camera is opened when its first frame is asked for.

    Raises (both): ConfigError: it is not there, or cannot do what device.toml asks of it.
    """

    @property
    def keeps(self) -> bool:
        """What was not delivered is shown again; where not, it is gone."""

    def frames(self) -> Iterator[Frame]:
        """What has been taken and not been delivered, oldest first; of a live camera, what it shows from now on."""

    def deliver(self, frame: Frame) -> None:
        """The frame is safe on our side, or not wanted: don't show it again."""
