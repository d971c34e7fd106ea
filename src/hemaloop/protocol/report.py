"""What a device says back."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class RefusedUpdate:
    """An update that the device did not trust, or that failed on it."""

    at: datetime
    version: int | None  # None: the metadata itself was refused
    reason: str


@dataclass(frozen=True)
class Report:
    device: str
    at: datetime
    agent: str  # version of hemaloop-device
    model_version: int | None
    self_test: str  # "passed", "failed: why", or "none" before the first model
    uploaded: int = 0  # since the last report
    classified: dict[str, int] = field(default_factory=dict)  # label -> images, since the last report
    unreadable: int = 0
    latency_ms: float | None = None  # median of one image, decoding included
    refused_updates: tuple[RefusedUpdate, ...] = ()  # since the last report
