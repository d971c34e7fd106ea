"""Approvals on their way: who signed which next targets, each signature an object of its own.

    releases/pending/<hash>/bundle.zip         the bundle that is approved
    releases/pending/<hash>/approvals/<key>    Approval: a signature, who gave it and why
    releases/pending/<hash>/targets.json       the next targets metadata, not signed; <hash> is its content's

Two approvers at once write different objects, so neither can lose the other's signature: the store
has no conditional writes to hold a lock with. Nothing here is believed but for its signatures.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Signature
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from hemaloop.errors import DataError
from hemaloop.protocol.channel import model_target
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import RELEASES
from hemaloop.release.channels import released
from hemaloop.release.metadata import Document, State
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

PENDING = f"{RELEASES}pending/"


@dataclass(frozen=True)
class Statement:
    """What an approver says; signed with the key that signs the targets, so that the reason is theirs too."""

    targets: str  # SHA-256 of the targets metadata signed with it
    version: int
    person: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class Approval:
    """One approver's two signatures, hexadecimal."""

    statement: Statement
    key: str  # TUF key id
    signature: str  # over the targets metadata
    statement_signature: str  # over the statement


@dataclass(frozen=True)
class Proposal:
    """The next targets metadata and the approvals that count for it, oldest first."""

    targets: Targets
    payload: bytes  # what is signed
    version: int  # of the model that it adds
    approvals: tuple[Approval, ...]

    @property
    def folder(self) -> str:
        return folder_of(self.payload)

    @property
    def bundle(self) -> str:
        return f"{self.folder}bundle.zip"

    @property
    def sha256(self) -> str:
        """Of the bundle."""
        return self.targets.targets[model_target(self.version)].hashes["sha256"]

    def document(self) -> Document[Targets]:
        """The targets metadata with every signature."""
        signatures = {approval.key: Signature(approval.key, approval.signature) for approval in self.approvals}
        return Document(self.targets, Metadata(self.targets, signatures).to_bytes())


def payload_of(targets: Targets) -> bytes:
    """The bytes that signatures of `targets` are over."""
    return Metadata(targets).signed_bytes


def folder_of(payload: bytes) -> str:
    return f"{PENDING}{sha256(payload).hexdigest()}/"


def sign_statement(signer: CryptoSigner, statement: Statement, payload: bytes) -> Approval:
    """Approve: sign the targets, and what the person says of it."""
    return Approval(
        statement,
        signer.public_key.keyid,
        signer.sign(payload).signature,
        signer.sign(encode(statement)).signature,
    )


def add(bucket: Bucket, payload: bytes, approval: Approval) -> None:
    """Store an approval; from then on it counts."""
    bucket.write(f"{folder_of(payload)}approvals/{approval.key}.json", encode(approval))


def propose(bucket: Bucket, targets: Targets, bundle: bytes) -> None:
    """Store what is to be signed; nobody has approved it yet."""
    folder = folder_of(payload_of(targets))
    bucket.write(f"{folder}bundle.zip", bundle)
    bucket.write(f"{folder}targets.json", Metadata(targets).to_bytes())


def discard(bucket: Bucket, folders: Iterable[str]) -> None:
    """Delete proposals; targets.json last, so that one killed halfway is found and deleted again."""
    for folder in folders:
        keys = [found.key for found in bucket.list(folder)]
        for key in sorted(keys, key=lambda key: key.endswith("/targets.json")):
            bucket.delete(key)


def waiting(bucket: Bucket, state: State) -> Proposal | None:
    """The one proposal that more approvals count for; of two made at the same moment, the one with more.

    A proposal whose targets version has been taken is void, and so is one that nobody whose key counts signed.
    """
    live = [
        p for p in proposals(bucket, state) if p.approvals and p.targets.version == state.targets.signed.version + 1
    ]
    return max(live, key=lambda p: (len(p.approvals), p.folder), default=None)


def finished(bucket: Bucket, state: State) -> list[Proposal]:
    """Proposals that are published already, but whose publisher was killed before it cleared them away."""
    models = released(state.targets.signed)
    return [
        p for p in proposals(bucket, state) if p.version in models and p.sha256 == models[p.version].hashes["sha256"]
    ]


def proposals(bucket: Bucket, state: State) -> list[Proposal]:
    """Every proposal, with the approvals that verify."""
    keys = [found.key for found in bucket.list(PENDING)]
    folders = sorted({key[: -len("targets.json")] for key in keys if key.endswith("/targets.json")})
    found = []
    for folder in folders:
        proposal = _read(bucket, folder, [key for key in keys if key.startswith(f"{folder}approvals/")], state)
        if proposal is not None:
            found.append(proposal)
    return found


def _read(bucket: Bucket, folder: str, keys: list[str], state: State) -> Proposal | None:
    data = bucket.read_many([f"{folder}targets.json", *keys])
    targets = _targets(data.pop(f"{folder}targets.json"), folder)
    if targets is None:
        return None
    payload = payload_of(targets)
    # Without a newer version in it, it is no proposal of ours: the newest says which model it is about.
    version = max(released(targets), default=0)
    if folder_of(payload) != folder or not version:
        log.warning("%s is no proposal: passed over", folder)
        return None
    approvals = [approval for content in data.values() if (approval := _approval(content, payload, state.root))]
    approvals = list({approval.key: approval for approval in approvals}.values())
    return Proposal(targets, payload, version, tuple(sorted(approvals, key=lambda a: (a.statement.at, a.key))))


def _targets(data: bytes | None, folder: str) -> Targets | None:
    try:
        signed = Metadata[Targets].from_bytes(data or b"").signed
    except DeserializationError as error:
        log.warning("%s: not TUF metadata: %s", folder, error)
        return None
    return signed if isinstance(signed, Targets) else None


def _approval(content: bytes | None, payload: bytes, root: Root) -> Approval | None:
    """An approval, if both signatures are by a key that counts now."""
    try:
        approval = decode(content or b"", Approval)
        if approval.key not in root.get_delegated_role(Targets.type).keyids:
            log.warning("key %s does not count for approvals: passed over", approval.key[:8])
            return None
        key = root.get_key(approval.key)
        key.verify_signature(Signature(approval.key, approval.signature), payload)
        key.verify_signature(Signature(approval.key, approval.statement_signature), encode(approval.statement))
    except (DataError, UnverifiedSignatureError) as error:
        log.warning("an approval was passed over: %s", error)
        return None
    return approval if approval.statement.targets == sha256(payload).hexdigest() else None
