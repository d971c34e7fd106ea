"""The next root and targets of a change of keys, and who must sign them."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Key, Metadata, Root, Snapshot, Targets, Timestamp

from hemaloop.errors import GateRefused, UntrustedError
from hemaloop.release.channels import CUSTOM
from hemaloop.release.keys.signers import owner_of, owners_of
from hemaloop.release.metadata import CHANNELS, Document, expiry, sign, verified
from hemaloop.release.parameters import Expiries

PEOPLES = (Root.type, Targets.type)  # the roles whose keys people hold


@dataclass(frozen=True)
class Change:
    """Whose keys count from the next root on."""

    server: Mapping[str, CryptoSigner] = field(default_factory=dict)  # online role -> its new key
    added: Mapping[str, Mapping[str, CryptoSigner]] = field(default_factory=dict)  # role -> key file's name -> key
    tokens: Mapping[str, Key] = field(default_factory=dict)  # role -> key that no file holds, but a person's token
    revoked: Mapping[str, frozenset[str]] = field(default_factory=dict)  # role -> key ids
    threshold: int | None = None  # of root and of targets; None: as it is
    folder: Path | None = None  # for the keys that are added
    renews: bool = False  # root and targets are signed anew though nothing else changes


def next_root(
    old: Root, change: Change, given: Sequence[CryptoSigner], now: datetime, expiries: Expiries
) -> Document[Root] | None:
    """The next root, signed as the old and the new one want; None: the old one says all of `change` already.

    Raises:
        GateRefused: too few keys are given, or would be left.
    """
    root = copy.deepcopy(old)
    for role in (Snapshot.type, Timestamp.type):
        if role in change.server:
            for keyid in list(root.roles[role].keyids):
                root.revoke_key(keyid, role)
            root.add_key(change.server[role].public_key, role)
    for role in PEOPLES:
        for keyid in change.revoked.get(role, frozenset()):
            root.revoke_key(keyid, role)
        for signer in change.added.get(role, {}).values():
            root.add_key(signer.public_key, role)
        if role in change.tokens:
            root.add_key(change.tokens[role], role)
        root.roles[role].threshold = change.threshold or root.roles[role].threshold
        _check_reachable(root, role)
    if root == old and not change.renews and not change.server:
        return None
    root.version += 1
    root.expires = expiry(now, expiries.of(Root.type))
    counted = _counted(given, old, root, role=Root.type)
    for judge in (old, root):
        _check_enough(counted, judge, Root.type)
    document = sign(root, counted)
    verified(document.data, Root, old, Root.type)
    return verified(document.data, Root, None, Root.type)


def next_targets(
    known: Document[Targets],
    change: Change,
    root: Root,
    given: Sequence[CryptoSigner],
    now: datetime,
    expiries: Expiries,
) -> Document[Targets]:
    """The same models: `known` itself, unless a key that it names is new, or too few who signed it still count.

    Raises:
        GateRefused: too few keys are given.
    """
    if CHANNELS not in change.server and not change.renews and _is_signed(known, root):
        return known
    counted = _counted(given, root, role=Targets.type)
    _check_enough(counted, root, Targets.type)
    targets = copy.deepcopy(known.signed)
    targets.version += 1
    targets.expires = expiry(now, expiries.of(Targets.type))
    # What these targets are for: keys alone; what was revoked stays so.
    if CUSTOM in targets.unrecognized_fields:
        kept = targets.unrecognized_fields[CUSTOM].get("revoked", [])
        targets.unrecognized_fields[CUSTOM] = {"revoked": kept}
    if CHANNELS in change.server:
        for keyid in list(targets.get_delegated_role(CHANNELS).keyids):
            targets.revoke_key(keyid, CHANNELS)
        targets.add_key(change.server[CHANNELS].public_key, CHANNELS)
    return sign(targets, counted)


def described(change: Change, old: Root) -> dict[str, str]:
    """A change in words, for the audit log."""
    added = [f"{role} of {owner_of(key.public_key)}" for role, group in change.added.items() for key in group.values()]
    revoked = [f"{role} of {owner_of(old.keys[keyid])}" for role, keyids in change.revoked.items() for keyid in keyids]
    found = {
        "server": ", ".join(change.server),
        "added": ", ".join(sorted(added)),
        "revoked": ", ".join(sorted(revoked)),
        "threshold": str(change.threshold or ""),
    }
    return {name: text for name, text in found.items() if text}


def signers_of(root: Document[Root], old: Root) -> list[str]:
    """Whose keys signed a root, of those that the one before, or it itself, names."""
    keys = old.keys | root.signed.keys
    return sorted({owner_of(keys[keyid]) for keyid in Metadata.from_bytes(root.data).signatures if keyid in keys})


def _is_signed(targets: Document[Targets], root: Root) -> bool:
    try:
        verified(targets.data, Targets, root, Targets.type)
    except UntrustedError:
        return False
    return True


def _counted(given: Sequence[CryptoSigner], *judges: Root, role: str) -> list[CryptoSigner]:
    """Each key once, of those that count for one of the judges."""
    keyids = {keyid for judge in judges for keyid in judge.roles[role].keyids}
    return list({each.public_key.keyid: each for each in given if each.public_key.keyid in keyids}.values())


def _check_enough(counted: Sequence[CryptoSigner], root: Root, role: str) -> None:
    wanted = root.roles[role]
    count = len({signer.public_key.keyid for signer in counted} & set(wanted.keyids))
    if count < wanted.threshold:
        people = ", ".join(owners_of(root, role))
        raise GateRefused(
            f"{role}: {count} of {wanted.threshold} keys given; those that count are the {role} keys of {people}"
        )


def _check_reachable(root: Root, role: str) -> None:
    wanted = root.roles[role]
    if not 1 <= wanted.threshold <= len(wanted.keyids):
        raise GateRefused(
            f"{role}: {len(wanted.keyids)} keys would be left of the {wanted.threshold} that must sign, so nobody "
            "could ever sign again: first give somebody else keys (`hemaloop keys add NAME`), or lower the --threshold"
        )
