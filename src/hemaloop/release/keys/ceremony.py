"""The key ceremony: keys for root, approvers and server, and the first metadata."""

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, Key, Role, Root, Snapshot, Targets, Timestamp

from hemaloop.errors import ConfigError
from hemaloop.files import write_atomically
from hemaloop.protocol.channel import channel_target
from hemaloop.protocol.keys import NAME
from hemaloop.release.audit import append
from hemaloop.release.keys.signers import ANCHOR, ONLINE_ROLES, new_signer, read_passphrase, write_key
from hemaloop.release.metadata import CHANNELS, ROOT, TIMESTAMP, Document, expiry, metadata_key, sign, write_metadata
from hemaloop.release.parameters import EXPIRIES, Expiries
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

_SERVER = "server"


def hold_ceremony(
    bucket: Bucket,
    offline: Path,
    online: Path,
    approvers: Sequence[str],
    threshold: int,
    now: datetime,
    expiries: Expiries = EXPIRIES,
) -> None:
    """Make every key, and publish root 1 and a repository that holds no model.

    Each approver gets offline/root-<name>.pem and offline/approver-<name>.pem, encrypted when
    HEMALOOP_KEY_PASSPHRASE is set; hand them over with offline/root.json and keep none. The server gets `online`.

    Args:
        approvers: their names. threshold: how many of them release a model, or replace root.

    Raises:
        ConfigError: the names or the threshold cannot be, or the bucket or a folder holds keys already.
    """
    _check(bucket, offline, online, approvers, threshold)
    roots = {f"root-{name}": new_signer(name) for name in approvers}
    people = {f"approver-{name}": new_signer(name) for name in approvers}
    server = {role: new_signer(_SERVER) for role in ONLINE_ROLES}
    root = _first_root(list(roots.values()), list(people.values()), server, threshold, now, expiries)
    passphrase = read_passphrase()
    for name, signer in (roots | people).items():
        write_key(offline / f"{name}.pem", signer, passphrase)
    for role, signer in server.items():
        write_key(online / f"{role}.pem", signer)
    write_atomically(offline / ANCHOR, root.data)
    targets = sign(first_targets(server["channels"], now, expiries), list(people.values())[:threshold])
    append(bucket, "keys", "root 1", ", ".join(approvers), "the key ceremony", now, {"threshold": str(threshold)})
    _publish(bucket, root, targets, server, now, expiries)
    log.info("%d of %d approvers release a model: %s", threshold, len(approvers), ", ".join(approvers))


def first_targets(channels: CryptoSigner, now: datetime, expiries: Expiries) -> Targets:
    """No models; the channels role may write channels/* and nothing else."""
    delegated = DelegatedRole(
        CHANNELS, [channels.public_key.keyid], 1, terminating=True, paths=[channel_target("*").removesuffix(".json")]
    )
    delegations = Delegations({channels.public_key.keyid: channels.public_key}, {CHANNELS: delegated})
    return Targets(expires=expiry(now, expiries.of("targets")), delegations=delegations)


def _first_root(
    roots: list[CryptoSigner],
    people: list[CryptoSigner],
    server: dict[str, CryptoSigner],
    threshold: int,
    now: datetime,
    expiries: Expiries,
) -> Document[Root]:
    signers = {Root.type: roots, Targets.type: people}
    signers |= {role: [server[role]] for role in (Snapshot.type, Timestamp.type)}
    keys: dict[str, Key] = {s.public_key.keyid: s.public_key for group in signers.values() for s in group}
    roles = {
        role: Role([s.public_key.keyid for s in group], threshold if role in (Root.type, Targets.type) else 1)
        for role, group in signers.items()
    }
    root = Root(expires=expiry(now, expiries.of("root")), keys=keys, roles=roles, consistent_snapshot=True)
    return sign(root, roots)


def _publish(
    bucket: Bucket,
    root: Document[Root],
    targets: Document[Targets],
    server: dict[str, CryptoSigner],
    now: datetime,
    expiries: Expiries,
) -> None:
    channels = sign(Targets(expires=expiry(now, expiries.of("channels"))), [server["channels"]])
    snapshot = Snapshot(expires=expiry(now, expiries.of("snapshot")))
    snapshot.meta = {"targets.json": targets.entry(), f"{CHANNELS}.json": channels.entry()}
    signed_snapshot = sign(snapshot, [server["snapshot"]])
    timestamp = Timestamp(expires=expiry(now, expiries.of("timestamp")), snapshot_meta=signed_snapshot.entry())
    write_metadata(bucket, Targets.type, targets)
    write_metadata(bucket, CHANNELS, channels)
    write_metadata(bucket, Snapshot.type, signed_snapshot)
    bucket.write(TIMESTAMP, sign(timestamp, [server["timestamp"]]).data)
    bucket.write(ROOT, root.data)
    # Last: a bucket with a root has had its ceremony, the whole of it.
    write_metadata(bucket, Root.type, root)


def _check(bucket: Bucket, offline: Path, online: Path, approvers: Sequence[str], threshold: int) -> None:
    if len(set(approvers)) != len(approvers) or not all(NAME.fullmatch(name) for name in approvers):
        raise ConfigError(f"approvers {', '.join(approvers)}: wanted different names of letters, digits, '_', '.', '-'")
    if not 1 <= threshold <= len(approvers):
        raise ConfigError(f"threshold: wanted 1 to {len(approvers)}, the number of approvers, got {threshold}")
    if bucket.exists(metadata_key(Root.type, 1)):
        raise ConfigError(f"bucket {bucket.url} has had its key ceremony; `hemaloop keys rotate` replaces keys")
    found = [path for folder in (offline, online) for path in sorted(folder.glob("*.pem"))]
    if found:
        raise ConfigError(f"{found[0]} is a key already: give the ceremony folders without keys")
