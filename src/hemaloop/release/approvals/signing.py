"""Signing what waits: the first approver proposes the next targets, the others sign those same bytes or none."""

import copy
import logging
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from securesystemslib.signer import Signer
from tuf.api.metadata import Root, Targets

from hemaloop.errors import ConfigError, GateRefused, UntrustedError
from hemaloop.protocol.channel import model_target
from hemaloop.release import audit
from hemaloop.release.approvals import pending
from hemaloop.release.approvals.acts import act_of
from hemaloop.release.approvals.pending import Proposal, Statement, payload_of
from hemaloop.release.keys.signers import PASSPHRASE, is_encrypted, load_key, owner_of, owners_of, trusted_root
from hemaloop.release.keys.tokens import SCHEME, TokenSigner, open_token
from hemaloop.release.metadata import State
from hemaloop.release.parameters import Expiries
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Words:
    """What an approver says with their signature. Raises: ConfigError: person or reason is empty."""

    person: str
    reason: str
    at: datetime

    def __post_init__(self) -> None:
        if not self.person.strip() or not self.reason.strip():
            raise ConfigError("an approval wants a person and a reason: who approves, and why")


def approver(root: Root, key: Path | str) -> Signer | TokenSigner:
    """The signer of an approver's key: a file's path, or "hsm:..." as `open_token` takes it.

    Raises:
        ConfigError: it cannot be read. UntrustedError: it does not count.
    """
    signer: Signer | TokenSigner = open_token(str(key)) if str(key).startswith(SCHEME) else load_key(Path(key))
    if signer.public_key.keyid not in root.get_delegated_role(Targets.type).keyids:
        people = ", ".join(owners_of(root, Targets.type))
        raise UntrustedError(
            f"key {key} does not count for approvals; the approvers' keys that do are those of {people}"
        )
    if isinstance(key, Path) and not is_encrypted(key.read_bytes()):
        log.warning("key %s is not encrypted: who copies the file can approve; see %s", key, PASSPHRASE)
    return signer


def anchor_of(key: Path | str) -> bytes | None:
    """The root.json beside a key file; None, for a token too: the bucket's is believed."""
    if isinstance(key, Path):
        return trusted_root(key)
    log.warning("key %s: the bucket's root is trusted; name the ceremony's root.json with --root", key)
    return None


def sign_proposed(
    bucket: Bucket,
    state: State,
    signer: Signer,
    proposed: Targets,
    bundle: bytes | None,
    words: Words,
    expiries: Expiries,
) -> Proposal:
    """Sign what waits, if it is what this approver would have proposed; with nothing waiting, propose it.

    Raises:
        UntrustedError: what waits says something else. GateRefused: it is about another version.
    """
    proposal = pending.waiting(bucket, state, words.at, expiries)
    if proposal is not None:
        _check_same(proposal, proposed, words.at)
    _tell_overtaken(bucket, state)
    targets = proposed if proposal is None else proposal.targets
    # Again for the second approver: the same objects, so a damaged or missing one is mended.
    pending.propose(bucket, targets, bundle)
    if proposal is None or signer.public_key.keyid not in {approval.key for approval in proposal.approvals}:
        _sign(bucket, state, signer, targets, words)
    found = pending.waiting(bucket, state, words.at, expiries)
    if found is None or found.act != act_of(targets):
        raise GateRefused(
            f"something else than {act_of(targets)} was approved, published or withdrawn at this moment: try again"
        )
    return found


def _sign(bucket: Bucket, state: State, signer: Signer, targets: Targets, words: Words) -> None:
    act, payload = act_of(targets), payload_of(targets)
    assert act is not None
    digest = sha256(payload).hexdigest()
    person, reason = words.person.strip(), words.reason.strip()
    statement = Statement(digest, act.version, person, reason, words.at, act.kind)
    approval = pending.sign_statement(signer, statement, payload)
    owner = owner_of(state.root.get_key(approval.key))
    details = {"targets": digest, "key of": owner}
    audit.append(bucket, act.kind, f"version {act.version}", person, reason, words.at, details, signer)
    pending.add(bucket, payload, approval)
    log.info("%s signed: %s: %s", person, act, reason)


def _check_same(proposal: Proposal, proposed: Targets, now: datetime) -> None:
    """What waits must be what this approver would have proposed, but for the day."""
    act, people = act_of(proposed), ", ".join(approval.statement.person for approval in proposal.approvals)
    if proposal.act != act:
        raise GateRefused(f"{_waits(proposal)}, signed by {people}: publish it, or withdraw it, before you {act}")
    path = model_target(act.version)
    ours, theirs = proposed.targets.get(path), proposal.targets.targets.get(path)
    if ours is not None and theirs is not None and ours.hashes != theirs.hashes:
        raise UntrustedError(
            f"version {act.version}, as {people} approved it, is not the bundle given here "
            f"(SHA-256 {proposal.sha256}, not {ours.hashes['sha256']}): find out why before signing"
        )
    wanted = copy.deepcopy(proposed)
    wanted.expires = proposal.targets.expires
    if payload_of(wanted) != proposal.payload or not now < proposal.targets.expires <= proposed.expires:
        raise UntrustedError(
            f"what waits to be signed to {act} says more than that, or was shown with another author, "
            "card or gate report: withdraw it, and sign anew"
        )


def _waits(proposal: Proposal) -> str:
    return f"version {proposal.version} waits " + ("for approval" if proposal.sha256 else "to be revoked")


def _tell_overtaken(bucket: Bucket, state: State) -> None:
    for proposal in pending.overtaken(bucket, state):
        people = ", ".join(approval.statement.person for approval in proposal.approvals)
        log.warning(
            "to %s, %s signed targets %d, which something else has taken since: they must sign anew",
            proposal.act, people, proposal.targets.version,
        )  # fmt: skip
