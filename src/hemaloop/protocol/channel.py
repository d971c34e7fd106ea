"""What a set of devices should run; signed by the channels role."""

from dataclasses import dataclass, field
from hashlib import sha256

from hemaloop.errors import DataError


@dataclass(frozen=True)
class Rollout:
    """A newer version on its way to all devices of a channel."""

    version: int
    percent: float  # of the devices; those whose `place` lies below it take the version
    salt: str = ""  # other devices come first in another rollout

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise DataError(f"rollout: percent {self.percent}: wanted 0 to 100")


@dataclass(frozen=True)
class Channel:
    """channels/<name>.json in the TUF repository."""

    name: str
    version: int  # the model version to run: target models/<version>.zip
    rollout: Rollout | None = None
    shadow: int | None = None  # a version to run beside the other, whose answers only count for comparison
    probation_images: int = 20  # that a new model must answer before it is kept; failing, the one before comes back
    pins: dict[str, int] = field(default_factory=dict)  # device -> version, whatever the rest says


def place(device: str, salt: str = "") -> float:
    """Where a device stands in a rollout, in percent from 0 up to 100: the same on every machine and for ever."""
    return int.from_bytes(sha256(f"{salt}:{device}".encode()).digest()[:6]) / 2**48 * 100


def wanted_version(channel: Channel, device: str) -> int:
    """What the device should run: its pin, else the rollout if it is reached, else the channel's version."""
    if device in channel.pins:
        return channel.pins[device]
    rollout = channel.rollout
    if rollout is not None and place(device, rollout.salt) < rollout.percent:
        return rollout.version
    return channel.version


def channel_target(name: str) -> str:
    return f"channels/{name}.json"


def model_target(version: int) -> str:
    """Devices take models from models/ alone: only the approvers' targets role may sign there."""
    return f"models/{version}.zip"
