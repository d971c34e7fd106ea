"""Key files: ed25519, PKCS #8 in PEM, readable by their owner alone."""

import fcntl
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, Key, SSlibKey
from tuf.api.metadata import Root, Targets

from hemaloop.errors import ConfigError, UntrustedError
from hemaloop.files import write_atomically

log = logging.getLogger(__name__)

PASSPHRASE = "HEMALOOP_KEY_PASSPHRASE"
ANCHOR = "root.json"  # beside the offline keys: what their holders trust, whatever the bucket says
ONLINE_ROLES = ("snapshot", "timestamp", "channels")

_OWNER = "x-hemaloop-owner"  # in a key's entry of the signed metadata: whose it is


@dataclass(frozen=True)
class OnlineKeys:
    """What the server may sign with; none of them can release a model."""

    snapshot: CryptoSigner
    timestamp: CryptoSigner
    channels: CryptoSigner


def new_signer(owner: str) -> CryptoSigner:
    """A new key, its public half marked with whose it is."""
    return _owned(Ed25519PrivateKey.generate(), owner)


def owner_of(key: Key) -> str:
    """Whose key this is, as the signed metadata says."""
    return str(key.unrecognized_fields.get(_OWNER, key.keyid[:8]))


def owners_of(delegator: Root | Targets, role: str) -> list[str]:
    """Whose keys count for `role`."""
    return sorted(owner_of(delegator.get_key(keyid)) for keyid in delegator.get_delegated_role(role).keyids)


def read_passphrase(environ: Mapping[str, str] = os.environ) -> bytes | None:
    """What encrypts key files, from HEMALOOP_KEY_PASSPHRASE; None: they are not encrypted."""
    return environ.get(PASSPHRASE, "").encode() or None


def write_key(path: Path, signer: CryptoSigner, passphrase: bytes | None = None) -> None:
    """Write a key file, mode 0600."""
    encryption: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    private = load_pem_private_key(signer.private_bytes, None)
    write_atomically(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption), mode=0o600)


def load_key(path: Path, owner: str | None = None) -> CryptoSigner:
    """Read a key file, and mark its public half with whose it is where `owner` says so.

    Raises:
        ConfigError: it is not there, no key, or its passphrase is wrong or missing.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"key {path}: {error.strerror}: give the path of a key that the ceremony made") from error
    passphrase = read_passphrase() if is_encrypted(data) else None
    if is_encrypted(data) and passphrase is None:
        raise ConfigError(f"key {path} is encrypted: set {PASSPHRASE}")
    try:
        private = load_pem_private_key(data, passphrase)
    except ValueError as error:
        raise ConfigError(f"key {path}: no PEM key, or {PASSPHRASE} is not its passphrase ({error})") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(f"key {path}: wanted an ed25519 key, got {type(private).__name__}")
    return CryptoSigner(private) if owner is None else _owned(private, owner)


def _owned(private: Ed25519PrivateKey, owner: str) -> CryptoSigner:
    public = SSlibKey.from_crypto(private.public_key())
    mark_owner(public, owner)
    return CryptoSigner(private, public)


def mark_owner(key: Key, owner: str) -> None:
    """Say in the signed metadata whose key this is."""
    key.unrecognized_fields[_OWNER] = owner


def is_encrypted(data: bytes) -> bool:
    """Whether a PEM file wants a passphrase."""
    return b"ENCRYPTED PRIVATE KEY" in data[:100]


def trusted_root(key: Path) -> bytes | None:
    """The root.json beside a key file; None: its holder has none, and must believe the bucket's."""
    anchor = key.parent / ANCHOR
    if anchor.is_file():
        return anchor.read_bytes()
    log.warning("%s is not there: the bucket's root is trusted; keep the ceremony's root.json beside the key", anchor)
    return None


def load_online(folder: Path, root: Root, targets: Targets) -> OnlineKeys:
    """The server's keys. Raises: ConfigError: one is missing. UntrustedError: one is not (or no longer) its role's."""
    return OnlineKeys(
        load_online_key(folder, "snapshot", root),
        load_online_key(folder, "timestamp", root),
        load_online_key(folder, "channels", targets),
    )


def load_online_key(folder: Path, role: str, delegator: Root | Targets) -> CryptoSigner:
    """One of the server's keys. Raises: as `load_online`."""
    signer = load_key(folder / f"{role}.pem")
    if signer.public_key.keyid not in delegator.get_delegated_role(role).keyids:
        raise UntrustedError(
            f"online key {folder / role}.pem does not count for {role}: it was replaced, or is another bucket's"
        )
    return signer


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Hold the online keys: two that sign snapshots at once would undo each other."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
