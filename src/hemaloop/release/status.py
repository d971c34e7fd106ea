"""Where releases stand: what is signed until when, what each channel names, who approved it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from hemaloop.protocol.halts import halted_versions
from hemaloop.release.approvals.acts import APPROVE, revoked
from hemaloop.release.approvals.approval import Approvals, standing
from hemaloop.release.approvals.pending import Approval, waiting
from hemaloop.release.approvals.records import Record, people_of, read_record, read_revocation
from hemaloop.release.channels import fallback_of, read_channels, released
from hemaloop.release.metadata import CHANNELS, State, read_state
from hemaloop.release.parameters import EXPIRIES, Expiries
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
class Revoked:
    """A version that enough approvers took away."""

    version: int
    record: Record | None  # who, and why


@dataclass(frozen=True)
class Status:
    roles: tuple[RoleStatus, ...]
    channels: dict[str, int]  # name -> version
    releases: tuple[Released, ...]  # oldest first
    pending: Approvals | None
    halted: tuple[int, ...] = ()  # versions that no device may run
    revoked: tuple[Revoked, ...] = ()  # oldest first


@dataclass(frozen=True)
class Signed:
    """What people signed of one version."""

    version: int
    standing: str  # "waiting", "released", "to be revoked" or "revoked"
    people: tuple[str, ...]  # whose signatures say so


_RENEW = "gather the key holders for `hemaloop keys renew`"
_REFRESH = "see why the refresh flow does not run"


def status(bucket: Bucket, now: datetime, expiries: Expiries = EXPIRIES) -> Status:
    """Everything that the bucket says of releases, with its signatures checked. Raises: ConfigError, UntrustedError."""
    state = read_state(bucket)
    proposal = waiting(bucket, state, now, expiries)
    return Status(
        tuple(RoleStatus(role, version, expires, expires - now) for role, version, expires in _roles(state)),
        read_channels(bucket, state),
        tuple(_releases(bucket, state)),
        None if proposal is None else standing(proposal, state.root),
        tuple(sorted(halted_versions(state.timestamp.signed.unrecognized_fields))),
        tuple(Revoked(version, read_revocation(bucket, version)) for version in sorted(revoked(state.targets.signed))),
    )


def signed(found: Status) -> list[Signed]:
    """Every version that somebody signed, once, with the last that was said of it."""
    said = {each.version: Signed(each.version, "released", people_of(each.approvals)) for each in found.releases}
    for each in found.revoked:
        said[each.version] = Signed(each.version, "revoked", () if each.record is None else each.record.people)
    if found.pending is not None:
        standing = "waiting" if found.pending.act == APPROVE else "to be revoked"
        said[found.pending.version] = Signed(found.pending.version, standing, found.pending.people)
    return list(said.values())


def warnings(found: Status, expiries: Expiries = EXPIRIES) -> list[str]:
    """What people must sign soon, and what has expired: a line each, with what to do."""
    lines = []
    for role in found.roles:
        by_people = role.role in (Root.type, Targets.type)
        todo = _RENEW if by_people else _REFRESH
        if role.left <= timedelta():
            halts = " and hear of no halt" if role.role in (Root.type, Timestamp.type) else ""
            lines.append(
                f"{role.role} {role.version} expired at {role.expires}: devices take no updates{halts}; {todo}"
            )
        elif by_people and role.left <= timedelta(days=expiries.warn):
            lines.append(f"{role.role} {role.version} expires in {role.left.days} days: {todo}")
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
