"""Revoking: targets without a version, signed by as many approvers as release one. No device ever takes it again.

What the server does when it is published: nothing names the version any more, and it is halted, so that
devices that run it go back to the fallback that its approvers signed with it.
"""

import copy
import logging
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import TargetFile, Timestamp

from hemaloop.errors import GateRefused
from hemaloop.protocol.channel import Channel
from hemaloop.protocol.halts import halted_versions, halting
from hemaloop.release.approvals import acts
from hemaloop.release.approvals.acts import REVOKE, Act
from hemaloop.release.approvals.approval import Approvals, standing
from hemaloop.release.approvals.signing import Words, anchor_of, approver, sign_proposed
from hemaloop.release.channels import channel_name, fallback_of, read_document, released, write_document
from hemaloop.release.metadata import Document, State, read_state
from hemaloop.release.parameters import EXPIRIES, Expiries
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


def revoke(
    bucket: Bucket,
    version: int,
    key: Path | str,
    person: str,
    reason: str,
    now: datetime,
    expiries: Expiries = EXPIRIES,
    anchor: bytes | None = None,
) -> Approvals:
    """Sign that a released version must never run again; as many approvers as release one make it so.

    Args: as `approve`.

    Raises:
        GateRefused: the version is not released, or something else waits. Else as `approve`.
    """
    words = Words(person, reason, now)
    state = read_state(bucket, anchor or anchor_of(key))
    signer = approver(state.root, key)
    targets = state.targets.signed
    if version not in released(targets):
        known = "revoked already" if version in acts.revoked(targets) else "not released"
        raise GateRefused(f"version {version} is {known}; what waits for approval is dropped by `withdraw`")
    proposed = acts.next_targets(targets, Act(REVOKE, version), now, expiries)
    return standing(sign_proposed(bucket, state, signer, proposed, None, words, expiries), state.root)


def without(channel: Channel, version: int, instead: int | None) -> Channel | None:
    """A channel that does not name `version`: `instead` of it where the channel did; None: there is none.

    A rollout of it ends, devices pinned to it follow the channel again, and nothing runs it in the shadow.
    """
    rollout = channel.rollout if channel.rollout is None or channel.rollout.version != version else None
    pins = {device: pinned for device, pinned in channel.pins.items() if pinned != version}
    shadow = None if channel.shadow == version else channel.shadow
    number = instead if channel.version == version else channel.version
    if number is None:
        return None
    return replace(channel, version=number, rollout=rollout, pins=pins, shadow=shadow)


def channels_without(bucket: Bucket, before: State, version: int) -> dict[str, TargetFile | None]:
    """New files for the channels that name `version`, written; None: the channel has nothing left to name.

    Args:
        before: the state in which the version is released still: it says what devices may go back to.
    """
    fallback = fallback_of(before.targets.signed, version)
    instead = fallback if fallback in released(before.targets.signed) else None
    changed: dict[str, TargetFile | None] = {}
    for path in before.channels.signed.targets:
        name = channel_name(path)
        channel = None if name is None else read_document(bucket, before, name)
        if channel is None:
            continue
        after = without(channel, version, instead)
        if after != channel:
            changed[path] = None if after is None else write_document(bucket, after)
            log.warning("channel %s: %s, for %d is revoked", channel.name, "empty" if after is None else after, version)
    return changed


def with_halt(timestamp: Document[Timestamp], version: int) -> Document[Timestamp]:
    """A timestamp that halts `version` too; to be signed."""
    signed = copy.deepcopy(timestamp.signed)
    halted = halted_versions(signed.unrecognized_fields)
    signed.unrecognized_fields.update(halting(halted | {version}))
    return Document(signed, b"")
