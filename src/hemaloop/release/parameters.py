"""How releases are made: the section `release` of params.yaml, and how long signatures last."""

from dataclasses import dataclass
from datetime import timedelta

from hemaloop.config import check
from hemaloop.protocol.keys import NAME


@dataclass(frozen=True)
class Expiries:
    """Days that the metadata of each role is good for, from its signing, and an approval."""

    root: int = 365
    targets: int = 365
    snapshot: int = 7
    timestamp: int = 1
    channels: int = 7
    warn: int = 30  # before root or targets expire: people must be found to sign
    approval: int = 30  # an approval that is older no longer counts when a version is published

    def __post_init__(self) -> None:
        for role in ("root", "targets", "snapshot", "timestamp", "channels", "warn", "approval"):
            check(getattr(self, role) >= 1, f"{role}: wanted at least 1 day, got {getattr(self, role)}")

    def of(self, role: str) -> timedelta:
        """How long new metadata of `role`, or an approval, is good for."""
        return timedelta(days=getattr(self, role))


EXPIRIES = Expiries()


@dataclass(frozen=True)
class ReleaseParams:
    approvers: int  # key holders that the demo makes
    threshold: int  # signatures that release a model
    golden_images: int  # images in a bundle that a device tests itself on
    tolerance: float  # largest difference of a probability on a golden image
    latency_budget_ms: float  # one image on a device, decoding included
    channel: str  # what a release moves
    expiries: Expiries = EXPIRIES

    def __post_init__(self) -> None:
        check(
            1 <= self.threshold <= self.approvers,
            f"threshold: wanted 1 to {self.approvers} (approvers), got {self.threshold}",
        )
        check(self.golden_images >= 1, f"golden_images: wanted at least 1, got {self.golden_images}")
        check(0 < self.tolerance < 1, f"tolerance: wanted above 0 and below 1, got {self.tolerance}")
        check(self.latency_budget_ms > 0, f"latency_budget_ms: wanted above 0, got {self.latency_budget_ms}")
        check(NAME.fullmatch(self.channel) is not None, f"channel: {self.channel!r} is no name")
