"""What a version of the targets metadata is for: to approve one model version, or to revoke one. That is signed too."""

import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tuf.api.metadata import Targets

from hemaloop.protocol.channel import model_target
from hemaloop.protocol.halts import REVOKED, revoked_versions
from hemaloop.release.channels import CUSTOM, released
from hemaloop.release.metadata import expiry
from hemaloop.release.parameters import Expiries

APPROVE, REVOKE = "approve", "revoke"


@dataclass(frozen=True)
class Act:
    kind: str  # APPROVE or REVOKE
    version: int  # of the model

    def __str__(self) -> str:
        return f"{self.kind} version {self.version}"


def act_of(targets: Targets) -> Act | None:
    """What these targets are for; None: for nothing of ours, as the first ones."""
    kind, version = _said(targets).get("act"), _said(targets).get("version")
    return Act(kind, version) if kind in (APPROVE, REVOKE) and type(version) is int and version > 0 else None


def revoked(targets: Targets) -> frozenset[int]:
    """Every version that the approvers revoked: never to be released again."""
    return revoked_versions(targets.unrecognized_fields)


def newest(targets: Targets) -> int:
    """The highest version that was ever released; 0: none was. What is revoked counts, lest it come back."""
    return max([0, *released(targets), *revoked(targets)])


def next_targets(targets: Targets, act: Act, now: datetime, expiries: Expiries) -> Targets:
    """The targets that follow, for `act`: the same for every approver on the same day.

    The model of an approval is still to be added; that of a revocation is gone.
    """
    after = copy.deepcopy(targets)
    after.version += 1
    midnight = expiry(now, timedelta()).replace(hour=0, minute=0, second=0)
    after.expires = expiry(midnight, expiries.of(Targets.type))
    gone = revoked(targets)
    if act.kind == REVOKE:
        gone |= {act.version}
        after.targets.pop(model_target(act.version), None)
    after.unrecognized_fields[CUSTOM] = {"act": act.kind, "version": act.version, REVOKED: sorted(gone)}
    return after


def _said(targets: Targets) -> dict[str, Any]:
    said = targets.unrecognized_fields.get(CUSTOM)
    return said if isinstance(said, dict) else {}
