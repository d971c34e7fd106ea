"""New keys for anybody: named by a root that the old and the new threshold signed, and that devices follow."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from hemaloop.errors import ConfigError, UntrustedError
from hemaloop.files import write_atomically
from hemaloop.protocol.halts import halting
from hemaloop.release.audit import append
from hemaloop.release.keys.change import PEOPLES, Change, described, next_root, next_targets, signers_of
from hemaloop.release.keys.kept import KeptChannel, kept_channels, kept_halts
from hemaloop.release.keys.signers import (
    ANCHOR,
    ONLINE_ROLES,
    load_key,
    load_online_key,
    new_signer,
    one_writer,
    read_passphrase,
    trusted_root,
    write_key,
)
from hemaloop.release.metadata import (
    CHANNELS,
    ROOT,
    TIMESTAMP,
    Document,
    expiry,
    metadata_key,
    newest_signed,
    read_root,
    read_timestamp,
    sign,
    verified,
    versions,
    write_metadata,
)
from hemaloop.release.parameters import EXPIRIES, Expiries
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

_SERVER = "server"


@dataclass(frozen=True)
class Rotated:
    """What is in force after a change of keys."""

    root: int  # version
    targets: int  # version
    channels: dict[str, int]  # what each channel names; look at it: who held the old keys may have moved it
    halted: tuple[int, ...]  # versions; look at them too
    spare: dict[str, int]  # of root and targets: keys that can be lost and leave enough
    folder: Path | None = None  # of the new keys of people


@dataclass(frozen=True)
class Gathering:
    """Who came to change keys, to where, and why."""

    bucket: Bucket
    keys: Sequence[Path]  # of people: files
    online: Path  # the server's keys
    now: datetime
    expiries: Expiries = EXPIRIES
    reason: str = "none was told"  # kept in the audit log


def rotate(
    bucket: Bucket,
    keys: Sequence[Path],
    online: Path,
    now: datetime,
    roles: Sequence[str] = ONLINE_ROLES,
    expiries: Expiries = EXPIRIES,
) -> Rotated:
    """`rotate_online`, without a gathering."""
    return rotate_online(Gathering(bucket, keys, online, now, expiries), roles)


def rotate_online(gathering: Gathering, roles: Sequence[str] = ONLINE_ROLES) -> Rotated:
    """Replace the server's keys, believing nothing that the old ones signed but what devices may believe anyway.

    Devices drop the timestamp and snapshot that they hold when root names new keys, and so forget
    whatever versions a thief counted up to. Killed anywhere, run it again. Approvals that were
    waiting are void when `roles` includes channels: targets take the version that they signed.

    Args:
        gathering: root keys, as many as root's threshold; for channels also approvers' keys, as many as theirs.
        roles: of snapshot, timestamp, channels.

    Raises: as `carry_out`.
    """
    unknown = sorted(set(roles) - set(ONLINE_ROLES))
    if unknown or not roles:
        raise ConfigError(f"roles {', '.join(unknown) or 'none'}: wanted some of {', '.join(ONLINE_ROLES)}")
    server = {role: new_signer(_SERVER) for role in roles}
    return carry_out(gathering, lambda _: Change(server=server))


def carry_out(gathering: Gathering, plan: Callable[[Root], Change]) -> Rotated:
    """Make a change of keys that devices follow. Killed anywhere, run it again.

    Args:
        gathering: as many root keys as the old and the new threshold want; approvers' keys only where targets
            must be signed anew. plan: the change, told the root in force.

    Raises:
        ConfigError: a key cannot be read, or the plan cannot be.
        GateRefused: too few keys are given, or would be left.
        UntrustedError: no targets in the bucket are signed by enough approvers, or an online key does not count.
    """
    bucket, keys, now, expiries = gathering.bucket, gathering.keys, gathering.now, gathering.expiries
    given = [load_key(path) for path in keys]
    with one_writer(gathering.online):
        old = read_root(bucket, trusted_root(keys[0]) if keys else None)
        change = plan(old)
        given += [signer for group in change.added.values() for signer in group.values()]
        # Without a next one, a run that was killed has published it; the rest is still to be done.
        root = next_root(old, change, given, now, expiries) or _published(bucket, old)
        known = newest_signed(bucket, Targets.type, old)
        targets = next_targets(known, change, root.signed, given, now, expiries)
        channels = kept_channels(bucket, known.signed)
        halted = kept_halts(bucket, old)
        server = _server_keys(gathering.online, change, root.signed, targets.signed)
        details = described(change, old)
        who = ", ".join(signers_of(root, old)) or "nobody anew"
        append(bucket, "keys", f"root {root.signed.version}", who, gathering.reason, now, details)
        _write_keys(change, gathering.online)
        _publish(gathering, root, targets, channels, halted, server)
    if change.folder is not None:
        write_atomically(change.folder / ANCHOR, root.data)
    log.info("root %d, targets %d", root.signed.version, targets.signed.version)
    spare = {role: len(each.keyids) - each.threshold for role in PEOPLES for each in [root.signed.roles[role]]}
    named = {name: channel.version for name, channel in channels.items()}
    return Rotated(root.signed.version, targets.signed.version, named, tuple(sorted(halted)), spare, change.folder)


def _publish(
    gathering: Gathering,
    root: Document[Root],
    targets: Document[Targets],
    kept: Mapping[str, KeptChannel],
    halted: frozenset[int],
    server: Mapping[str, CryptoSigner],
) -> None:
    bucket, now, expiries = gathering.bucket, gathering.now, gathering.expiries
    channels = _write_channels(bucket, kept, server[CHANNELS], now, expiries)
    # After the channels that its new key signed: killed in between, the next run still finds what they name.
    write_metadata(bucket, Targets.type, targets)
    snapshot = _write_snapshot(bucket, targets, channels, server[Snapshot.type], now, expiries)
    timestamp = _next_timestamp(bucket, root.signed, snapshot, halted, now, expiries)
    # Between these two a device may find root and the rest at odds: it takes no update, and tries again later.
    write_metadata(bucket, Root.type, root)
    bucket.write(TIMESTAMP, sign(timestamp, [server[Timestamp.type]]).data)
    bucket.write(ROOT, root.data)


def _published(bucket: Bucket, root: Root) -> Document[Root]:
    return verified(bucket.read(metadata_key(Root.type, root.version)), Root, root, Root.type)


def _server_keys(online: Path, change: Change, root: Root, targets: Targets) -> dict[str, CryptoSigner]:
    return {
        role: change.server.get(role) or load_online_key(online, role, targets if role == CHANNELS else root)
        for role in ONLINE_ROLES
    }


def _write_keys(change: Change, online: Path) -> None:
    for role, signer in change.server.items():
        write_key(online / f"{role}.pem", signer)
    for group in change.added.values():
        for name, signer in group.items():
            assert change.folder is not None
            write_key(change.folder / name, signer, read_passphrase())


def _write_channels(
    bucket: Bucket, named: Mapping[str, KeptChannel], signer: CryptoSigner, now: datetime, expiries: Expiries
) -> Document[Targets]:
    """Channels under a number that no file has yet."""
    channels = Targets(
        version=max(versions(bucket, CHANNELS), default=0) + 1,
        expires=expiry(now, expiries.of(CHANNELS)),
        targets={channel.target.path: channel.target for channel in named.values()},
    )
    document = sign(channels, [signer])
    write_metadata(bucket, CHANNELS, document)
    return document


def _write_snapshot(
    bucket: Bucket,
    targets: Document[Targets],
    channels: Document[Targets],
    signer: CryptoSigner,
    now: datetime,
    expiries: Expiries,
) -> Document[Snapshot]:
    """A snapshot under a number that no file has yet."""
    snapshot = Snapshot(
        version=max(versions(bucket, Snapshot.type), default=0) + 1,
        expires=expiry(now, expiries.of(Snapshot.type)),
        meta={"targets.json": targets.entry(), f"{CHANNELS}.json": channels.entry()},
    )
    document = sign(snapshot, [signer])
    write_metadata(bucket, Snapshot.type, document)
    return document


def _next_timestamp(
    bucket: Bucket,
    root: Root,
    snapshot: Document[Snapshot],
    halted: frozenset[int],
    now: datetime,
    expiries: Expiries,
) -> Timestamp:
    """One more than the last that root's keys signed; with a new key devices count from one again."""
    version = 1
    try:
        version += read_timestamp(bucket, root).signed.version
    except (ConfigError, UntrustedError) as error:
        log.info("the timestamp starts anew: %s", error)
    return Timestamp(
        version=version,
        expires=expiry(now, expiries.of(Timestamp.type)),
        snapshot_meta=snapshot.entry(),
        unrecognized_fields=halting(halted) if halted else None,
    )
