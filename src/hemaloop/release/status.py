"""Where releases stand: what is signed until when, what each channel names, who approved it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from hemaloop.protocol.halts import halted_versions
from hemaloop.release.approval import Approvals, standing
from hemaloop.release.channels import fallback_of, read_channels, released
from hemaloop.release.metadata import CHANNELS, State, read_state
from hemaloop.release.parameters import EXPIRIES, Expiries
from hemaloop.release.pending import Approval, waiting
from hemaloop.release.records import read_record
from hemaloop.storage import Bucket


@dataclass(frozen=True)
class RoleStatus:
    """One metadata file in force."""

    role: str
    version: int
    expires: datetime
    left: timedelta  # until then; negative: expired, and devices take no updates


@dataclass(frozen=True)
class Released:
    """A version that enough approvers signed."""

    version: int
    sha256: str  # of the bundle
    fallback: int | None
    approvals: tuple[Approval, ...]


@dataclass(frozen=True)
class Status:
    roles: tuple[RoleStatus, ...]
    channels: dict[str, int]  # name -> version
    releases: tuple[Released, ...]  # oldest first
    pending: Approvals | None
    halted: tuple[int, ...] = ()  # versions that no device may run


def status(bucket: Bucket, now: datetime) -> Status:
    """Everything that the bucket says of releases, with its signatures checked. Raises: ConfigError, UntrustedError."""
    state = read_state(bucket)
    proposal = waiting(bucket, state, now)
    return Status(
        tuple(RoleStatus(role, version, expires, expires - now) for role, version, expires in _roles(state)),
        read_channels(bucket, state),
        tuple(_releases(bucket, state)),
        None if proposal is None else standing(proposal, state.root),
        tuple(sorted(halted_versions(state.timestamp.signed.unrecognized_fields))),
    )


def warnings(found: Status, expiries: Expiries = EXPIRIES) -> list[str]:
    """What people must sign soon, and what has expired: a line each."""
    lines = []
    for role in found.roles:
        if role.left <= timedelta():
            lines.append(
                f"{role.role} {role.version} expired at {role.expires}: devices take no updates until it is renewed"
            )
        elif role.role in (Root.type, Targets.type) and role.left <= timedelta(days=expiries.warn):
            lines.append(
                f"{role.role} {role.version} expires in {role.left.days} days: gather the key holders to sign anew"
            )
    return lines


def _roles(state: State) -> list[tuple[str, int, datetime]]:
    parts = {
        Root.type: state.root,
        Targets.type: state.targets.signed,
        Snapshot.type: state.snapshot.signed,
        Timestamp.type: state.timestamp.signed,
        CHANNELS: state.channels.signed,
    }
    return [(role, signed.version, signed.expires) for role, signed in parts.items()]


def _releases(bucket: Bucket, state: State) -> list[Released]:
    targets = state.targets.signed
    found = []
    for version, target in released(targets).items():
        record = read_record(bucket, version)
        approvals = () if record is None else record.approvals
        found.append(Released(version, target.hashes["sha256"], fallback_of(targets, version), approvals))
    return found
