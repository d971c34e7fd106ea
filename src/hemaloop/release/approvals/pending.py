"""Approvals on their way: who signed which next targets, each signature an object of its own.

    releases/pending/<hash>/bundle.zip         the bundle that is approved
    releases/pending/<hash>/approvals/<key>    Approval: a signature, who gave it and why
    releases/pending/<hash>/targets.json       the next targets metadata, not signed; <hash> is its content's

Two approvers at once write different objects, so neither can lose the other's signature: the store
has no conditional writes to hold a lock with. Nothing here is believed but for its signatures.

Every proposal is a whole next version of the targets metadata. So of two, only one can come into force; the other
is overtaken, and its approvers sign anew what follows then: no signature is ever over something that they did not see.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Signature, Signer
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from hemaloop.errors import DataError
from hemaloop.protocol.channel import model_target
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import RELEASES
from hemaloop.release.approvals.acts import APPROVE, Act, act_of
from hemaloop.release.metadata import Document, State, metadata_key
from hemaloop.release.parameters import EXPIRIES, Expiries
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

PENDING = f"{RELEASES}pending/"
SKEW = timedelta(days=1)  # an approval that is dated further ahead would live too long, so it does not count


@dataclass(frozen=True)
class Statement:
    """What an approver says; signed with the key that signs the targets, so that the reason is theirs too."""

    targets: str  # SHA-256 of the targets metadata signed with it
    version: int
    person: str
    reason: str
    at: datetime
    act: str = APPROVE  # or REVOKE


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
    act: Act  # what it is for
    approvals: tuple[Approval, ...]
    expired: tuple[Approval, ...] = ()  # too old to count

    @property
    def version(self) -> int:
        """Of the model that it approves or revokes."""
        return self.act.version

    @property
    def folder(self) -> str:
        return folder_of(self.payload)

    @property
    def bundle(self) -> str:
        return f"{self.folder}bundle.zip"

    @property
    def sha256(self) -> str:
        """Of the bundle; "" where a version is revoked."""
        target = self.targets.targets.get(model_target(self.version))
        return "" if target is None else target.hashes["sha256"]

    def document(self) -> Document[Targets]:
        """The targets metadata with every signature."""
        signatures = {approval.key: Signature(approval.key, approval.signature) for approval in self.approvals}
        return Document(self.targets, Metadata(self.targets, signatures).to_bytes())


def payload_of(targets: Targets) -> bytes:
    """The bytes that signatures of `targets` are over."""
    return Metadata(targets).signed_bytes


def folder_of(payload: bytes) -> str:
    return f"{PENDING}{sha256(payload).hexdigest()}/"


def sign_statement(signer: Signer, statement: Statement, payload: bytes) -> Approval:
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


def propose(bucket: Bucket, targets: Targets, bundle: bytes | None) -> None:
    """Store what is to be signed; nobody has approved it yet."""
    folder = folder_of(payload_of(targets))
    if bundle is not None:
        bucket.write(f"{folder}bundle.zip", bundle)
    bucket.write(f"{folder}targets.json", Metadata(targets).to_bytes())


def discard(bucket: Bucket, folders: Iterable[str]) -> None:
    """Delete proposals; targets.json last, so that one killed halfway is found and deleted again."""
    for folder in folders:
        keys = [found.key for found in bucket.list(folder)]
        for key in sorted(keys, key=lambda key: key.endswith("/targets.json")):
            bucket.delete(key)


def waiting(bucket: Bucket, state: State, now: datetime, expiries: Expiries = EXPIRIES) -> Proposal | None:
    """The one proposal that more approvals count for; of two made at the same moment, the one with more.

    A proposal whose targets version has been taken is void, and so is one without an approval that counts:
    by a key that counts today, and not expired.
    """
    found = (fresh(proposal, now, expiries) for proposal in proposals(bucket, state))
    live = [p for p in found if p.approvals and p.targets.version == state.targets.signed.version + 1]
    return max(live, key=lambda p: (len(p.approvals), p.folder), default=None)


def fresh(proposal: Proposal, now: datetime, expiries: Expiries) -> Proposal:
    """The proposal, with approvals that are too old (or dated ahead) set apart."""
    valid = expiries.of("approval")
    counts = tuple(a for a in proposal.approvals if now - valid < a.statement.at <= now + SKEW)
    return replace(proposal, approvals=counts, expired=tuple(a for a in proposal.approvals if a not in counts))


def finished(bucket: Bucket, state: State) -> list[Proposal]:
    """Proposals that are in force already, with the approvals that put them there.

    Their publisher has not cleared them away yet, or was killed before it did.
    """
    return [done for proposal in _past(bucket, state) if (done := _published(bucket, proposal)) is not None]


def overtaken(bucket: Bucket, state: State) -> list[Proposal]:
    """Proposals whose targets version something else has taken: who signed them must sign anew."""
    return [p for p in _past(bucket, state) if p.approvals and _published(bucket, p) is None]


def _past(bucket: Bucket, state: State) -> list[Proposal]:
    return [p for p in proposals(bucket, state) if p.targets.version <= state.targets.signed.version]


def _published(bucket: Bucket, proposal: Proposal) -> Proposal | None:
    """The proposal with the approvals that it was published with; None: other targets took its version."""
    try:
        published = Metadata[Targets].from_bytes(bucket.read(metadata_key(Targets.type, proposal.targets.version)))
    except FileNotFoundError:
        return None
    if published.signed_bytes != proposal.payload:
        return None
    return replace(proposal, approvals=tuple(a for a in proposal.approvals if a.key in published.signatures))


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
    act = act_of(targets)
    if (
        folder_of(payload) != folder
        or act is None
        or (act.kind == APPROVE) != (model_target(act.version) in targets.targets)
    ):
        log.warning("%s is no proposal: passed over", folder)
        return None
    approvals = [approval for content in data.values() if (approval := _approval(content, payload, state.root))]
    said = {a.key: a for a in approvals if (a.statement.act, a.statement.version) == (act.kind, act.version)}
    return Proposal(targets, payload, act, tuple(sorted(said.values(), key=lambda a: (a.statement.at, a.key))))


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
