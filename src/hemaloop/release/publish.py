"""What the server does with approvals: publish at the threshold, move channels, keep the metadata fresh."""

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import TargetFile, Targets

from hemaloop.errors import ConfigError, GateRefused, UntrustedError
from hemaloop.protocol.channel import Channel, channel_target, model_target
from hemaloop.release import audit
from hemaloop.release.approvals import pending
from hemaloop.release.approvals.acts import REVOKE
from hemaloop.release.approvals.approval import standing
from hemaloop.release.approvals.pending import Proposal
from hemaloop.release.approvals.records import keep_record, read_record
from hemaloop.release.approvals.revocation import channels_without, with_halt
from hemaloop.release.channels import (
    check_name,
    fallback_of,
    may_move,
    read_channel,
    read_document,
    released,
    write_document,
)
from hemaloop.release.keys.rotation import rotate
from hemaloop.release.keys.signers import load_online, one_writer
from hemaloop.release.metadata import Document, State, read_state, target_key, verified
from hemaloop.release.online import advance, keep_timestamp, next_channels, next_timestamp, write_state
from hemaloop.release.parameters import EXPIRIES, Expiries
from hemaloop.release.rollout.course import await_rollout, read_course
from hemaloop.release.status import Status, status
from hemaloop.storage import Bucket

__all__ = ["Published", "Refreshed", "Status", "move_channel", "publish", "refresh", "rotate", "status"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """What a channel names, and who approved it."""

    version: int  # 0: none, for what it named was revoked
    approved_by: tuple[str, ...]
    channel: str
    waiting: int | None = None  # a released version whose rollout to the channel begins with the next look at it


@dataclass(frozen=True)
class Refreshed:
    """Versions of the online metadata."""

    timestamp: int
    snapshot: int
    channels: int


def publish(
    bucket: Bucket, online: Path, channel: str, now: datetime, expiries: Expiries = EXPIRIES, staged: bool = False
) -> Published:
    """Release the version that enough approvers signed, and move `channel` to it; or revoke the one that they revoke.

    Killed anywhere, it does the rest when it is called again. With nothing waiting it changes
    nothing, and returns what `channel` names.

    Args:
        staged: a channel that names a version already is not moved; the new one waits for its rollout.

    Raises:
        GateRefused: too few have signed, or nothing was ever approved for `channel`.
        UntrustedError: the bundle that waits is not the one that was signed.
    """
    check_name(channel)
    with one_writer(online):
        state = read_state(bucket)
        _finish(bucket, state)
        proposal = pending.waiting(bucket, state, now, expiries)
        if proposal is None:
            return _unchanged(bucket, state, channel, now)
        targets = _approved(state, proposal)
        keys = load_online(online, state.root, targets.signed)
        changed = replace(state, targets=targets)
        if proposal.act.kind == REVOKE:
            files = channels_without(bucket, state, proposal.version)
            changed = replace(changed, timestamp=with_halt(state.timestamp, proposal.version))
        else:
            _upload(bucket, proposal)
            if staged and read_channel(bucket, state, channel) is not None:
                await_rollout(bucket, state, keys, channel, proposal.version, now)
                files = {}
            else:
                files = _moved(bucket, changed, channel, proposal.version, now)
        if files:
            changed = replace(changed, channels=next_channels(state, keys, files, now, expiries))
        _tell(bucket, proposal, channel, now)
        state = advance(bucket, state, changed, keys, now, expiries)
        _finish(bucket, state)
    people = standing(proposal, state.root).people
    log.info("published: %s, signed by %s", proposal.act, ", ".join(people))
    if proposal.act.kind == REVOKE and read_channel(bucket, state, channel) is None:
        return Published(0, (), channel)
    if proposal.act.kind == REVOKE or not files:
        return _unchanged(bucket, state, channel, now)
    return Published(proposal.version, people, channel)


def move_channel(
    bucket: Bucket,
    online: Path,
    channel: str,
    version: int,
    now: datetime,
    expiries: Expiries = EXPIRIES,
    by: str = "server",
    reason: str = "",
) -> Published:
    """Move a channel to a released version: forwards, or back to the fallback that its version names.

    Args:
        by, reason: who wants it, and why, for the audit log.

    Raises:
        GateRefused: the version is not released, or the move is neither of these.
    """
    check_name(channel)
    with one_writer(online):
        state = read_state(bucket)
        if read_channel(bucket, state, channel) != version:
            keys = load_online(online, state.root, state.targets.signed)
            files = _moved(bucket, state, channel, version, now)
            changed = replace(state, channels=next_channels(state, keys, files, now, expiries))
            told = f"to version {version}: {reason}" if reason else f"to version {version}"
            audit.append(bucket, "channel", f"channel {channel}", by, told, now)
            state = advance(bucket, state, changed, keys, now, expiries)
            log.info("moved channel %s to version %d", channel, version)
    return Published(version, _people(bucket, version), channel)


def refresh(bucket: Bucket, online: Path, now: datetime, expiries: Expiries = EXPIRIES) -> Refreshed:
    """A new timestamp; new channels and snapshot once half their time is over.

    Where a key is missing or metadata are bad it raises, but not before the timestamp is fresh, if that can be:
    updates wait for a person, halts must not.
    """
    try:
        return _refresh(bucket, online, now, expiries)
    except (ConfigError, UntrustedError) as error:
        with suppress(ConfigError, UntrustedError):
            keep_timestamp(bucket, online, now, expiries)
            log.error("only the timestamp is fresh, for the sake of halts: %s", error)
        raise


def _refresh(bucket: Bucket, online: Path, now: datetime, expiries: Expiries) -> Refreshed:
    with one_writer(online):
        state = read_state(bucket)
        keys = load_online(online, state.root, state.targets.signed)
        changed = state
        if _ageing(state.channels.signed.expires, "channels", now, expiries):
            changed = replace(changed, channels=next_channels(state, keys, {}, now, expiries))
        if changed is not state or _ageing(state.snapshot.signed.expires, "snapshot", now, expiries):
            after = advance(bucket, state, changed, keys, now, expiries)
        else:
            after = replace(state, timestamp=next_timestamp(state, keys, now, expiries))
            write_state(bucket, state, after)
    return Refreshed(after.timestamp.signed.version, after.snapshot.signed.version, after.channels.signed.version)


def _approved(state: State, proposal: Proposal) -> Document[Targets]:
    """The targets with their signatures. Raises: GateRefused: too few."""
    approvals = standing(proposal, state.root)
    if approvals.missing:
        raise GateRefused(approvals.shortfall)
    document = proposal.document()
    return verified(document.data, Targets, state.root, Targets.type)


def _tell(bucket: Bucket, proposal: Proposal, channel: str, now: datetime) -> None:
    people = ", ".join(approval.statement.person for approval in proposal.approvals)
    details = {"act": proposal.act.kind, "channel": channel, "sha256": proposal.sha256}
    audit.append(bucket, "publish", f"version {proposal.version}", "server", f"signed by {people}", now, details)


def _upload(bucket: Bucket, proposal: Proposal) -> None:
    """The bundle to where clients look for it; by its hash, so that nothing finds it before the metadata does."""
    target = proposal.targets.targets[model_target(proposal.version)]
    try:
        data = bucket.read(proposal.bundle)
        target.verify_length_and_hashes(data)
    except (FileNotFoundError, RepositoryError) as error:
        raise UntrustedError(
            f"the bundle of version {proposal.version} is not the one that was approved ({error}): "
            "nothing was published; an approver who gives the bundle again mends it"
        ) from error
    bucket.write(target_key(target), data)


def _moved(bucket: Bucket, state: State, channel: str, version: int, now: datetime) -> dict[str, TargetFile | None]:
    current = read_document(bucket, state, channel)
    if version not in released(state.targets.signed):
        raise GateRefused(f"channel {channel}: version {version} is not released: too few approved it")
    if read_course(bucket, state, channel, now).live:
        raise GateRefused(f"channel {channel}: a rollout is on its way: end it first with `hemaloop rollout turn-back`")
    number = None if current is None else current.version
    fallback = fallback_of(state.targets.signed, number)
    if not may_move(number, version, fallback):
        back = f"back to {fallback}" if fallback is not None else "not back: its release names no fallback"
        raise GateRefused(f"channel {channel} may go forwards from version {number}, or {back}; not to {version}")
    moved = replace(current or Channel(channel, version), version=version, rollout=None, shadow=None)
    return {channel_target(channel): write_document(bucket, moved)}


def _finish(bucket: Bucket, state: State) -> None:
    """Keep who approved what is published now, and clear their proposals away."""
    for proposal in pending.finished(bucket, state):
        keep_record(bucket, proposal)
        pending.discard(bucket, [proposal.folder])


def _unchanged(bucket: Bucket, state: State, channel: str, now: datetime) -> Published:
    version = read_channel(bucket, state, channel)
    if version is None:
        raise GateRefused(f"nothing waits to be released, and channel {channel} is empty: `hemaloop approve VERSION`")
    return Published(version, _people(bucket, version), channel, read_course(bucket, state, channel, now).waiting)


def _people(bucket: Bucket, version: int) -> tuple[str, ...]:
    record = read_record(bucket, version)
    return () if record is None else tuple(approval.statement.person for approval in record.approvals)


def _ageing(expires: datetime, role: str, now: datetime, expiries: Expiries) -> bool:
    return expires - now < expiries.of(role) / 2
