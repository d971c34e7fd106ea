"""What a device says back."""

from dataclasses import dataclass, field
from datetime import datetime

CONFIDENCE_BINS = 10  # of the largest probability, evenly from 0 to 1


@dataclass(frozen=True)
class RefusedUpdate:
    """An update that the device did not trust, or that failed on it."""

    at: datetime
    version: int | None  # None: the metadata itself was refused
    reason: str


@dataclass(frozen=True)
class Answer:
    """What a model said of one image."""

    capture: str  # uploads/<device>/<yyyy>/<mm>/<dd>/<capture>.jpg, if it was uploaded
    version: int
    label: str
    probability: float


@dataclass(frozen=True)
class ShadowRun:
    """A model that ran beside the one that answers, since the last report."""

    version: int
    images: int
    agreed: int  # images that both gave the same label
    failed: int = 0  # images that it gave no answer to


@dataclass(frozen=True)
class Traffic:
    """What the choice of frames saved, since the last report."""

    frames: int  # that the camera showed
    sent: int
    sent_bytes: int
    every_bytes: int  # that sending every frame as the camera gave it would have cost


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
    channel: str = ""
    probation: str = "none"  # "none", "running: 3 of 20", "passed", "returned: why"
    failures: int = 0  # images that the model, not the image, gave no answer to, since the last report
    confidence: tuple[int, ...] = ()  # images in each bin of the largest probability, since the last report
    answers: tuple[Answer, ...] = ()  # since the last report
    shadow: ShadowRun | None = None
    traffic: Traffic | None = None
    dropped: int = 0  # spooled images given up because the disk's share was full, since the last report
