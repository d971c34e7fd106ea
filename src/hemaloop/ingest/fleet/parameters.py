"""What params.yaml says of the fleet."""

from dataclasses import dataclass
from datetime import timedelta

from hemaloop.config import check


@dataclass(frozen=True)
class FleetParams:
    """Section `fleet` of params.yaml."""

    window_days: int  # a device's last days that are listed for reports each time
    look_seconds: int  # after that long, all of a device's reports are listed
    judged_days: int  # what devices answered in the last days is compared with the reference
    drift: float  # total variation distance of the predicted classes' shares from the reference, for sure
    confidence_drop: float  # of the mean largest probability below the reference, for sure
    failures: float  # share of images that the model gave no answer to, for sure
    silent_hours: float  # a device that has not reported for so long is silent
    keep_days: int  # single reports and answers, in the ledger and the bucket; sums stay

    def __post_init__(self) -> None:
        check(0 <= self.window_days <= 366, f"window_days {self.window_days}: wanted 0 to 366")
        check(self.look_seconds >= 0, f"look_seconds {self.look_seconds}: wanted 0 or more")
        check(1 <= self.judged_days <= 366, f"judged_days {self.judged_days}: wanted 1 to 366")
        for name in ("drift", "confidence_drop", "failures"):
            check(0 < getattr(self, name) <= 1, f"{name} {getattr(self, name)}: wanted above 0, at most 1")
        check(31 <= self.keep_days <= 3660, f"keep_days {self.keep_days}: wanted 31 to 3660")
        check(
            self.keep_days > self.judged_days,
            f"keep_days {self.keep_days}: wanted more than judged_days, {self.judged_days}",
        )
        check(self.silent_hours > 0, f"silent_hours {self.silent_hours}: wanted above 0")

    @property
    def judged(self) -> timedelta:
        return timedelta(days=self.judged_days)
