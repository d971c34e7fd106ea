"""Recovery after stolen online keys: new ones, named by a root that the old and the new threshold signed."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from hemaloop.errors import ConfigError, DataError, GateRefused, UntrustedError
from hemaloop.protocol.halts import halted_versions, halting
from hemaloop.release.channels import channel_name, read_version, released, write_channel
from hemaloop.release.metadata import (
    CHANNELS,
    ROOT,
    TIMESTAMP,
    Document,
    expiry,
    newest_signed,
    read_root,
    read_timestamp,
    sign,
    verified,
    versions,
    write_metadata,
)
from hemaloop.release.parameters import EXPIRIES, Expiries
from hemaloop.release.signers import ONLINE_ROLES, load_key, new_signer, one_writer, owners_of, trusted_root, write_key
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

_SERVER = "server"


@dataclass(frozen=True)
class Rotated:
    """Versions after new online keys."""

    root: int
    targets: int
    channels: dict[str, int]  # what each channel names; look at it: who held the old keys may have moved it
    halted: tuple[int, ...] = ()  # kept; look at them too


def rotate(
    bucket: Bucket,
    keys: Sequence[Path],
    online: Path,
    now: datetime,
    roles: Sequence[str] = ONLINE_ROLES,
    expiries: Expiries = EXPIRIES,
) -> Rotated:
    """Replace the server's keys, believing nothing that the old ones signed.

    Devices drop the timestamp and snapshot that they hold when root names new keys, and so forget
    whatever versions a thief counted up to. Killed anywhere, run it again. Approvals that were
    waiting are void when `roles` includes channels: targets take the version that they signed.
    With no roles it renews root alone.

    Args:
        keys: root keys, as many as root's threshold; for channels also approvers' keys, as many as theirs.
        online: where the new key files go. roles: of snapshot, timestamp, channels.

    Raises:
        ConfigError: an unknown role, or a key cannot be read.
        GateRefused: too few keys. UntrustedError: no targets in the bucket are signed by enough approvers.
    """
    unknown = sorted(set(roles) - set(ONLINE_ROLES))
    if unknown:
        raise ConfigError(f"roles {', '.join(unknown)}: wanted some of {', '.join(ONLINE_ROLES)}")
    signers = [load_key(path) for path in keys]
    with one_writer(online):
        old = read_root(bucket, trusted_root(keys[0]) if keys else None)
        fresh = {role: new_signer(_SERVER) for role in roles}
        root = _next_root(old, fresh, signers, now, expiries)
        server = {role: fresh.get(role) or load_key(online / f"{role}.pem") for role in ONLINE_ROLES}
        known = newest_signed(bucket, Targets.type, root.signed)
        targets = _next_targets(known, fresh, root.signed, signers, now, expiries)
        named = _kept_channels(bucket, known.signed)
        halted = _kept_halts(bucket, old)
        for role, signer in fresh.items():
            write_key(online / f"{role}.pem", signer)
        channels = _write_channels(bucket, named, server[CHANNELS], now, expiries)
        # After the channels that its new key signed: killed in between, the next run still finds what they name.
        if targets is not known:
            write_metadata(bucket, Targets.type, targets)
        snapshot = _write_snapshot(bucket, targets, channels, server[Snapshot.type], now, expiries)
        timestamp = _next_timestamp(bucket, root.signed, snapshot, halted, now, expiries)
        # Between these two a device finds root and timestamp at odds, takes no update, and tries again later.
        write_metadata(bucket, Root.type, root)
        bucket.write(TIMESTAMP, sign(timestamp, [server["timestamp"]]).data)
        bucket.write(ROOT, root.data)
    log.info("root %d names new keys for %s", root.signed.version, ", ".join(roles) or "nobody")
    return Rotated(root.signed.version, targets.signed.version, named, tuple(sorted(halted)))


def _next_root(
    old: Root, fresh: dict[str, CryptoSigner], signers: Sequence[CryptoSigner], now: datetime, expiries: Expiries
) -> Document[Root]:
    root = copy.deepcopy(old)
    root.version += 1
    root.expires = expiry(now, expiries.of(Root.type))
    for role in (Snapshot.type, Timestamp.type):
        if role in fresh:
            for keyid in list(root.roles[role].keyids):
                root.revoke_key(keyid, role)
            root.add_key(fresh[role].public_key, role)
    counted = [signer for signer in signers if signer.public_key.keyid in root.roles[Root.type].keyids]
    _enough(len(counted), root, Root.type)
    document = sign(root, counted)
    verified(document.data, Root, old, Root.type)
    return verified(document.data, Root, None, Root.type)


def _next_targets(
    known: Document[Targets],
    fresh: dict[str, CryptoSigner],
    root: Root,
    signers: Sequence[CryptoSigner],
    now: datetime,
    expiries: Expiries,
) -> Document[Targets]:
    """The same models; new targets only where the channels' key, which targets name, is new."""
    if CHANNELS not in fresh:
        return known
    counted = [signer for signer in signers if signer.public_key.keyid in root.roles[Targets.type].keyids]
    _enough(len(counted), root, Targets.type)
    targets = copy.deepcopy(known.signed)
    targets.version += 1
    targets.expires = expiry(now, expiries.of(Targets.type))
    for keyid in list(targets.get_delegated_role(CHANNELS).keyids):
        targets.revoke_key(keyid, CHANNELS)
    targets.add_key(fresh[CHANNELS].public_key, CHANNELS)
    return sign(targets, counted)


def _enough(count: int, root: Root, role: str) -> None:
    threshold = root.roles[role].threshold
    if count < threshold:
        people = ", ".join(owners_of(root, role))
        raise GateRefused(
            f"{role}: {count} of {threshold} keys given; those that count are the {role} keys of {people}"
        )


def _kept_channels(bucket: Bucket, targets: Targets) -> dict[str, int]:
    """Channels of the newest channels metadata that name a released version."""
    try:
        channels = newest_signed(bucket, CHANNELS, targets)
    except UntrustedError as error:
        log.warning("channels start anew: %s", error)
        return {}
    named = {}
    for path, target in channels.signed.targets.items():
        name = channel_name(path)
        try:
            version = read_version(bucket, target)
        except (DataError, UntrustedError) as error:
            log.warning("dropped %s: %s", path, error)
            continue
        if name is not None and version in released(targets):
            named[name] = version
        else:
            log.warning("dropped %s: it names no released version", path)
    return named


def _write_channels(
    bucket: Bucket, named: dict[str, int], signer: CryptoSigner, now: datetime, expiries: Expiries
) -> Document[Targets]:
    """Channels under a number that no file has yet."""
    files = [write_channel(bucket, name, version) for name, version in named.items()]
    channels = Targets(
        version=max(versions(bucket, CHANNELS), default=0) + 1,
        expires=expiry(now, expiries.of(CHANNELS)),
        targets={target.path: target for target in files},
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


def _kept_halts(bucket: Bucket, root: Root) -> frozenset[int]:
    """What is halted stays so, whoever said it: at worst devices go back to their approvers' fallback."""
    try:
        return halted_versions(read_timestamp(bucket, root).signed.unrecognized_fields)
    except (ConfigError, UntrustedError) as error:
        log.warning("nothing is halted any more: %s", error)
        return frozenset()


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
