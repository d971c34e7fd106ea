"""TUF metadata in the bucket: reading it with every signature checked, and writing it."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from hemaloop.errors import ConfigError, UntrustedError
from hemaloop.protocol.keys import RELEASES
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

METADATA = f"{RELEASES}metadata/"
TARGETS = f"{RELEASES}targets/"
ROOT = f"{METADATA}root.json"  # the newest, to set devices up with; TUF itself reads N.root.json
TIMESTAMP = f"{METADATA}timestamp.json"
CHANNELS = "channels"  # the delegated role

Part = TypeVar("Part", Root, Timestamp, Snapshot, Targets)


@dataclass(frozen=True)
class Document(Generic[Part]):
    """One signed file, as it lies in the bucket."""

    signed: Part
    data: bytes

    def entry(self) -> MetaFile:
        """How a snapshot or timestamp names it."""
        return MetaFile.from_data(self.signed.version, self.data, ["sha256"])


@dataclass(frozen=True)
class State:
    """What the bucket's metadata says now: all of it signed by whom it should be (but perhaps expired)."""

    root: Root
    timestamp: Document[Timestamp]
    snapshot: Document[Snapshot]
    targets: Document[Targets]
    channels: Document[Targets]


def sign(signed: Part, signers: Iterable[CryptoSigner]) -> Document[Part]:
    """Sign with each of `signers`."""
    metadata: Metadata[Part] = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return Document(signed, metadata.to_bytes())


def expiry(now: datetime, valid: timedelta) -> datetime:
    """TUF's times are in UTC, to the second."""
    return (now.astimezone(UTC) + valid).replace(microsecond=0)


def metadata_key(role: str, version: int) -> str:
    return f"{METADATA}{version}.{role}.json"


def target_key(target: TargetFile) -> str:
    """Where the file lies: by its hash, so that no new content ever overwrites what a client is reading."""
    return TARGETS + target.get_prefixed_paths()[0]


def read_state(bucket: Bucket, anchor: bytes | None = None) -> State:
    """Read and verify the repository as a client would, except for expiry: expired metadata must be refreshable.

    Args:
        anchor: a root.json that is trusted; None trusts the bucket's first one.

    Raises:
        ConfigError: there is no repository yet.
        UntrustedError: a signature, version or hash is not what its delegator wants.
    """
    root = read_root(bucket, anchor)
    timestamp = read_timestamp(bucket, root)
    snapshot = _named(bucket, timestamp.signed.snapshot_meta, Snapshot, root, Snapshot.type)
    entries = snapshot.signed.meta
    if not {"targets.json", f"{CHANNELS}.json"} <= entries.keys():
        raise UntrustedError("snapshot names no targets or no channels: see `hemaloop release status`")
    targets = _named(bucket, entries["targets.json"], Targets, root, Targets.type)
    channels = _named(bucket, entries[f"{CHANNELS}.json"], Targets, targets.signed, CHANNELS)
    return State(root, timestamp, snapshot, targets, channels)


def read_root(bucket: Bucket, anchor: bytes | None = None) -> Root:
    """The newest root that a chain of thresholds leads to from `anchor`, else from the bucket's first root.

    Raises:
        ConfigError: there is none. UntrustedError: the chain breaks.
    """
    data = anchor if anchor is not None else _read(bucket, metadata_key(Root.type, 1))
    root = verified(data, Root, None, Root.type).signed
    while bucket.exists(key := metadata_key(Root.type, root.version + 1)):
        data = bucket.read(key)
        newer = verified(data, Root, root, Root.type).signed
        verified(data, Root, newer, Root.type)
        if newer.version != root.version + 1:
            raise UntrustedError(f"{key}: holds root {newer.version}")
        root = newer
    return root


def read_timestamp(bucket: Bucket, root: Root) -> Document[Timestamp]:
    """The timestamp in force, perhaps expired. Raises: ConfigError: there is none. UntrustedError."""
    return verified(_read(bucket, TIMESTAMP), Timestamp, root, Timestamp.type)


def verified(data: bytes, part: type[Part], delegator: Root | Targets | None, role: str) -> Document[Part]:
    """Metadata signed as `delegator` (None: itself) wants. Raises: UntrustedError."""
    try:
        metadata: Metadata[Part] = Metadata.from_bytes(data)
        if not isinstance(metadata.signed, part):
            raise UntrustedError(f"{role}: wanted metadata of type {part.type}, got {metadata.signed.type}")
        judge = metadata.signed if delegator is None else delegator
        assert isinstance(judge, Root | Targets)
        judge.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, DeserializationError, ValueError) as error:
        raise UntrustedError(f"metadata of {role} cannot be trusted: {error}") from error
    return Document(metadata.signed, data)


def _named(bucket: Bucket, entry: MetaFile, part: type[Part], delegator: Root | Targets, role: str) -> Document[Part]:
    """The file that a snapshot or timestamp names."""
    try:
        data = bucket.read(metadata_key(role, entry.version))
        entry.verify_length_and_hashes(data)
    except (FileNotFoundError, RepositoryError) as error:
        raise UntrustedError(
            f"metadata {entry.version}.{role} is not what the metadata above it names: {error}"
        ) from error
    document = verified(data, part, delegator, role)
    if document.signed.version != entry.version:
        raise UntrustedError(f"metadata {entry.version}.{role} says it is version {document.signed.version}")
    return document


def _read(bucket: Bucket, key: str) -> bytes:
    try:
        return bucket.read(key)
    except FileNotFoundError as error:
        raise ConfigError(f"bucket {bucket.url} has no {key}: hold a ceremony, `hemaloop keys init`") from error


def versions(bucket: Bucket, role: str) -> list[int]:
    """Versions of `role` in the bucket, newest first; signed by anybody.

    Seven digits are more than we count to; whoever stole a key may have counted on, and is not followed.
    """
    pattern = re.compile(re.escape(METADATA) + r"(\d{1,7})\." + re.escape(role) + r"\.json")
    matches = (pattern.fullmatch(found.key) for found in bucket.list(METADATA))
    return sorted((int(match[1]) for match in matches if match), reverse=True)


def newest_signed(bucket: Bucket, role: str, delegator: Root | Targets) -> Document[Targets]:
    """The newest targets or channels that enough keys signed, whatever the snapshot says.

    Raises:
        UntrustedError: there is none.
    """
    for version in versions(bucket, role):
        try:
            document = verified(bucket.read(metadata_key(role, version)), Targets, delegator, role)
        except UntrustedError as error:
            log.warning("passed over %d.%s: %s", version, role, error)
            continue
        if document.signed.version == version:
            return document
    raise UntrustedError(f"the bucket holds no {role} metadata that enough keys signed")


def write_metadata(bucket: Bucket, role: str, document: Document[Part]) -> None:
    """Write N.<role>.json."""
    bucket.write(metadata_key(role, document.signed.version), document.data)
