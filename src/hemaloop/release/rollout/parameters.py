"""How a rollout goes: the section `rollout` of params.yaml."""

from dataclasses import dataclass

from hemaloop.config import check


@dataclass(frozen=True)
class Phase:
    """So many devices, until so much is known."""

    percent: float  # of the channel's devices
    devices: int  # that must have answered with the version; fewer only where fewer stand in the phase
    images: int  # that they must have answered in this phase
    hours: float  # that the phase lasts at least

    def __post_init__(self) -> None:
        check(0 < self.percent <= 100, f"percent: wanted above 0 and at most 100, got {self.percent}")
        check(self.devices >= 1, f"devices: wanted at least 1, got {self.devices}")
        check(self.images >= 1, f"images: wanted at least 1, got {self.images}")
        check(self.hours >= 0, f"hours: wanted 0 or more, got {self.hours}")


@dataclass(frozen=True)
class Limits:
    """What a version may do at most; beyond, surely, a look is bad."""

    failed: float  # share of the devices: self-test failed, or came back from probation
    errors: float  # share of the images without an answer, more than with the version before
    latency_ratio: float  # to the same device's latency with the version before
    slow: float  # share of the devices that are slower than that
    shift: float  # total variation between the labels' shares now and before, on the same devices
    disagreement: float  # share of the images that it and the version before answer differently, side by side
    silent: float  # share of the devices that fell silent, more than among those without the version

    def __post_init__(self) -> None:
        for name in ("failed", "errors", "slow", "shift", "disagreement", "silent"):
            check(0 <= getattr(self, name) <= 1, f"{name}: wanted 0 to 1 (no limit), got {getattr(self, name)}")
        check(self.latency_ratio >= 1, f"latency_ratio: wanted at least 1, got {self.latency_ratio}")


@dataclass(frozen=True)
class RolloutParams:
    phases: tuple[Phase, ...]
    limits: Limits
    confidence: float  # of the bounds that a limit is held against
    device_images: int  # no device speaks for more images than so many
    silent_hours: float  # without a report, from a device that sent some before
    reference_days: float  # of reports with the version before, to compare with
    bad_looks: int  # in a row, before a halt
    good_looks: int  # in a row, before the next phase
    shadow: bool  # devices that have yet to take the version run it beside their own

    def __post_init__(self) -> None:
        percents = [phase.percent for phase in self.phases]
        check(
            bool(percents) and percents == sorted(set(percents)) and percents[-1] == 100,
            f"phases: wanted rising percents up to 100, got {percents}",
        )
        check(0.5 < self.confidence < 1, f"confidence: wanted above 0.5 and below 1, got {self.confidence}")
        check(self.silent_hours > 0, f"silent_hours: wanted above 0, got {self.silent_hours}")
        check(self.reference_days > 0, f"reference_days: wanted above 0, got {self.reference_days}")
        for name in ("device_images", "bad_looks", "good_looks"):
            check(getattr(self, name) >= 1, f"{name}: wanted at least 1, got {getattr(self, name)}")
