"""People and their keys: each has one for root and one as an approver, in files of their own."""

from collections.abc import Sequence
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Key, Root, Targets

from hemaloop.errors import ConfigError
from hemaloop.protocol.keys import must_be_name
from hemaloop.release.keys.change import PEOPLES, Change
from hemaloop.release.keys.rotation import Gathering, Rotated, carry_out
from hemaloop.release.keys.signers import load_key, mark_owner, new_signer, owner_of, owners_of
from hemaloop.release.metadata import metadata_key, verified
from hemaloop.storage import Bucket

PREFIXES = {Root.type: "root", Targets.type: "approver"}  # of key files


def replace_key(
    gathering: Gathering,
    role: str,
    person: str,
    offline: Path,
) -> Rotated:
    """Give a person a new key, lost or stolen the old one, or just old.

    It goes to offline/root-<N>/, N the root that names it, with that root; encrypted as in the ceremony.

    Args:
        role: root or targets. gathering: as for `carry_out`.

    Raises: as `carry_out`.
    """
    if role not in PEOPLES:
        raise ConfigError(f"role {role}: wanted {' or '.join(PEOPLES)}; the server's keys are replaced by `rotate`")

    def plan(root: Root) -> Change:
        old = _keys_of(root, role, person)
        if not old:
            raise ConfigError(f"{person} has no {role} key; those that count are of {_people(root, role)}")
        folder, added = _new_keys(offline, root, [role], person)
        fresh = {signer.public_key.keyid for group in added.values() for signer in group.values()}
        return Change(added=added, revoked={role: old - fresh}, folder=folder)

    return carry_out(gathering, plan)


def take_token(gathering: Gathering, person: str, key: Key) -> Rotated:
    """An approver signs with the key in their token from now on, and no longer with their file.

    Args:
        key: the public half, as `open_token` reads it. gathering: as for `carry_out`; the others' keys must suffice.

    Raises: as `carry_out`.
    """
    mark_owner(key, person)

    def plan(root: Root) -> Change:
        old = _keys_of(root, Targets.type, person)
        if not old:
            raise ConfigError(
                f"{person} has no {Targets.type} key; those that count are of {_people(root, Targets.type)}"
            )
        return Change(tokens={Targets.type: key}, revoked={Targets.type: old - {key.keyid}})

    return carry_out(gathering, plan)


def add_person(
    gathering: Gathering,
    person: str,
    offline: Path,
    threshold: int | None = None,
) -> Rotated:
    """Give somebody new both keys; see `replace_key` for where they go.

    Args:
        threshold: of root and of targets from now on; None: as they are.
    """
    must_be_name("person", person, ConfigError)

    def plan(root: Root) -> Change:
        folder, added = _new_keys(offline, root, PEOPLES, person)
        for role in PEOPLES:
            others = _keys_of(root, role, person) - {key.public_key.keyid for key in added[role].values()}
            if others:
                raise ConfigError(f"{person} has a {role} key already: replace it, or take another name")
        return Change(added=added, threshold=threshold, folder=folder)

    return carry_out(gathering, plan)


def revoke_person(
    gathering: Gathering,
    person: str,
    threshold: int | None = None,
) -> Rotated:
    """A person's keys, both of them, count no more; what they approved stays released.

    Args:
        threshold: of root and of targets from now on; None: as they are.

    Raises:
        GateRefused: fewer keys than the threshold would be left. As `carry_out`.
    """

    def plan(root: Root) -> Change:
        revoked = {role: _keys_of(root, role, person) for role in PEOPLES}
        if not any(revoked.values()) and not _was_revoked(gathering.bucket, root, person):
            raise ConfigError(f"{person} holds no key; those that count are of {_people(root, *PEOPLES)}")
        return Change(revoked=revoked, threshold=threshold)

    return carry_out(gathering, plan)


def renew(gathering: Gathering) -> Rotated:
    """Sign root and targets for another year; nobody's key changes."""
    return carry_out(gathering, lambda _: Change(renews=True))


def _keys_of(root: Root, role: str, person: str) -> frozenset[str]:
    return frozenset(keyid for keyid in root.roles[role].keyids if owner_of(root.keys[keyid]) == person)


def _was_revoked(bucket: Bucket, root: Root, person: str) -> bool:
    """By the newest root: then a run that was killed left the rest to be done."""
    if root.version == 1:
        return False
    before = verified(bucket.read(metadata_key(Root.type, root.version - 1)), Root, None, Root.type).signed
    return any(_keys_of(before, role, person) for role in PEOPLES)


def _people(root: Root, *roles: str) -> str:
    return ", ".join(sorted({person for role in roles for person in owners_of(root, role)}))


def _new_keys(
    offline: Path, root: Root, roles: Sequence[str], person: str
) -> tuple[Path, dict[str, dict[str, CryptoSigner]]]:
    """The folder, and for each role the new key; or what a run that was killed left in it."""
    names = {role: f"{PREFIXES[role]}-{person}.pem" for role in roles}
    left, folder = (offline / f"root-{version}" for version in (root.version, root.version + 1))
    if all(_counts(left / name, root, role) for role, name in names.items()):
        folder = left
    return folder, {role: {name: _load_or_make(folder / name, person)} for role, name in names.items()}


def _counts(path: Path, root: Root, role: str) -> bool:
    return path.exists() and load_key(path).public_key.keyid in root.roles[role].keyids


def _load_or_make(path: Path, person: str) -> CryptoSigner:
    return load_key(path, person) if path.exists() else new_signer(person)
