"""What a device said while it ran one version, as far as it matters to a rollout: one report, or the sum of many."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from hemaloop.protocol.report import Report, ShadowRun

_SELF_TEST = re.compile(r"failed: release ([0-9]{1,18}): ")
_RETURNED = re.compile(r"returned: release ([0-9]{1,18}): (?!release )")


@dataclass(frozen=True)
class Said:
    """Of one device, with one version."""

    device: str
    version: int | None  # that it ran; None: it had no model
    first: datetime  # the earliest of the reports
    last: datetime
    reports: int = 1
    labels: dict[str, int] = field(default_factory=dict)  # label -> images
    errors: int = 0  # images without an answer
    latency_ms: float | None = None  # of the newest report that has one
    shadows: tuple[ShadowRun, ...] = ()
    failed: frozenset[int] = frozenset()  # versions whose self-test or probation failed on the device, as it says

    @classmethod
    def of(cls, report: Report) -> "Said":
        return cls(
            report.device,
            report.model_version,
            report.at,
            report.at,
            1,
            report.classified,
            report.failures,
            report.latency_ms,
            () if report.shadow is None else (report.shadow,),
            failed_versions(report),
        )


def failed_versions(report: Report) -> frozenset[int]:
    """Versions whose self-test or probation failed on a device, or their self-test before a shadow run.

    A device also returns from what was halted or revoked, or to take what is newer: the reason then names a release.
    """
    told = (_SELF_TEST.match(report.self_test), _RETURNED.match(report.probation))
    failed = {int(found[1]) for found in told if found}
    if report.model_version is not None and report.probation.startswith("failed"):
        failed.add(report.model_version)
    for refused in report.refused_updates:
        if refused.version is not None and "failed its self-test" in refused.reason:
            failed.add(refused.version)
    return frozenset(failed)
