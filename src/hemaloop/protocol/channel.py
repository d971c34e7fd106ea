"""What a set of devices should run; signed by the channels role."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Channel:
    """channels/<name>.json in the TUF repository."""

    name: str
    version: int  # the model version to run: target models/<version>.zip


def channel_target(name: str) -> str:
    return f"channels/{name}.json"


def model_target(version: int) -> str:
    """Devices take models from models/ alone: only the approvers' targets role may sign there."""
    return f"models/{version}.zip"
