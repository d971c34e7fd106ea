"""An approval is a signature: over the targets metadata that names a model by its hash."""

import copy
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root, TargetFile, Targets

from hemaloop.errors import ConfigError, GateRefused, UntrustedError
from hemaloop.protocol.bundle import Release, unpack
from hemaloop.protocol.channel import model_target
from hemaloop.release import pending as pending_approvals
from hemaloop.release.channels import CUSTOM, released
from hemaloop.release.metadata import State, expiry, read_state
from hemaloop.release.parameters import EXPIRIES, Expiries
from hemaloop.release.pending import PENDING, Approval, Proposal, Statement, payload_of
from hemaloop.release.signers import PASSPHRASE, is_encrypted, load_key, owners_of, trusted_root
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Approvals:
    """Where a version's approval stands."""

    version: int
    people: tuple[str, ...]  # who approved, in the order of their signing
    threshold: int
    sha256: str = ""  # of the bundle
    approvals: tuple[Approval, ...] = ()

    @property
    def missing(self) -> int:
        """Signatures still wanted."""
        return max(0, self.threshold - len(self.people))

    @property
    def shortfall(self) -> str:
        """What is still wanted, in words."""
        return (
            f"version {self.version}: {len(self.people)} of {self.threshold} approvals "
            f"({', '.join(self.people)}); {self.missing} missing: `hemaloop approve {self.version}`"
        )


def approve(
    bucket: Bucket,
    version: int,
    bundle: bytes,
    key: Path,
    person: str,
    reason: str,
    now: datetime,
    expiries: Expiries = EXPIRIES,
) -> Approvals:
    """Sign a version. The first approver fixes what is signed; the next sign the same bytes.

    What was pending is compared with what this approver's own `bundle` makes of the published
    targets, so that nothing but this bundle is signed. The root.json beside the key, if there is
    one, is trusted rather than the bucket's.

    Args:
        bundle: what the approver looked at, as `build_bundle` made it.
        key: the approver's key file. person, reason: kept, signed, with the release.

    Raises:
        ConfigError: the key cannot be read, or person or reason is empty.
        UntrustedError: the key does not count, or what waits to be signed is not this bundle.
        GateRefused: another version waits, or this one cannot follow what is released.
    """
    if not person.strip() or not reason.strip():
        raise ConfigError("an approval wants a person and a reason: who approves, and why")
    state = read_state(bucket, trusted_root(key))
    signer = _approver(state.root, key)
    proposed = _propose(state, version, bundle, now, expiries)
    proposal = pending_approvals.waiting(bucket, state)
    if proposal is not None:
        _check_same(proposal, proposed, version, now, state)
    targets = proposed if proposal is None else proposal.targets
    # Again for the second approver: the same objects, so a damaged or missing one is mended.
    pending_approvals.propose(bucket, targets, bundle)
    payload = payload_of(targets)
    if proposal is None or signer.public_key.keyid not in {approval.key for approval in proposal.approvals}:
        statement = Statement(sha256(payload).hexdigest(), version, person.strip(), reason.strip(), now)
        pending_approvals.add(bucket, payload, pending_approvals.sign_statement(signer, statement, payload))
        log.info("%s approved version %d: %s", person, version, reason)
    return _standing(pending_approvals.waiting(bucket, state), state.root, version)


def pending(bucket: Bucket) -> Approvals | None:
    """The version that waits for approval or for publishing, and who signed it; None: none does."""
    state = read_state(bucket)
    proposal = pending_approvals.waiting(bucket, state)
    return None if proposal is None else _standing(proposal, state.root, proposal.version)


def withdraw(bucket: Bucket) -> Approvals | None:
    """Drop what waits, so that another version can be approved; what was dropped, or None.

    Enough signatures remain enough for whoever kept a copy: to forbid an approved version, release a newer one.
    """
    dropped = pending(bucket)
    pending_approvals.discard(bucket, [PENDING])
    if dropped is not None:
        log.info("withdrew version %d, approved by %s", dropped.version, ", ".join(dropped.people))
    return dropped


def standing(proposal: Proposal, root: Root) -> Approvals:
    """Who approved a proposal, and how many must."""
    return Approvals(
        proposal.version,
        tuple(approval.statement.person for approval in proposal.approvals),
        root.get_delegated_role(Targets.type).threshold,
        proposal.sha256,
        proposal.approvals,
    )


def _standing(proposal: Proposal | None, root: Root, version: int) -> Approvals:
    if proposal is None or proposal.version != version:
        raise GateRefused(
            f"another version than {version} was approved, published or withdrawn at this moment: try again"
        )
    return standing(proposal, root)


def _approver(root: Root, path: Path) -> CryptoSigner:
    signer = load_key(path)
    if signer.public_key.keyid not in root.get_delegated_role(Targets.type).keyids:
        people = ", ".join(owners_of(root, Targets.type))
        raise UntrustedError(
            f"key {path} does not count for approvals; the approvers' keys that do are those of {people}"
        )
    if not is_encrypted(path.read_bytes()):
        log.warning("key %s is not encrypted: who copies the file can approve; see %s", path, PASSPHRASE)
    return signer


def _propose(state: State, version: int, bundle: bytes, now: datetime, expiries: Expiries) -> Targets:
    """The published targets with this version added: the same for every approver on the same day."""
    release = unpack(bundle).release
    _check_follows(release, version, released(state.targets.signed))
    target = TargetFile.from_data(model_target(version), bundle)
    target.unrecognized_fields["custom"] = {
        CUSTOM: {"fallback": release.fallback, "dataset_revision": release.dataset_revision}
    }
    targets = copy.deepcopy(state.targets.signed)
    targets.version += 1
    midnight = expiry(now, timedelta()).replace(hour=0, minute=0, second=0)
    targets.expires = expiry(midnight, expiries.of(Targets.type))
    targets.targets[model_target(version)] = target
    return targets


def _check_follows(release: Release, version: int, models: dict[int, TargetFile]) -> None:
    if release.version != version:
        raise UntrustedError(
            f"the bundle is of version {release.version}, not {version}: build the bundle of {version}"
        )
    if version < 1:
        raise ConfigError(f"version: wanted 1 or more, got {version}")
    newest = max(models, default=0)
    if version <= newest:
        raise GateRefused(
            f"version {version} is not newer than {newest}, which is released: register it again to release it"
        )
    if release.fallback is not None and release.fallback not in models:
        raise GateRefused(f"version {version} names {release.fallback} to fall back to, which was never released")


def _check_same(proposal: Proposal, proposed: Targets, version: int, now: datetime, state: State) -> None:
    """What waits must be what this approver would have proposed, but for the day."""
    people = ", ".join(standing(proposal, state.root).people)
    if proposal.version != version:
        raise GateRefused(
            f"version {proposal.version} waits for approval, signed by {people}: publish it, or withdraw it, "
            f"before approving version {version}"
        )
    path = model_target(version)
    if proposal.targets.targets[path] != proposed.targets[path]:
        raise UntrustedError(
            f"version {version}, as {people} approved it, is not the bundle given here "
            f"(SHA-256 {proposal.sha256}, not {proposed.targets[path].hashes['sha256']}): find out why before signing"
        )
    wanted = copy.deepcopy(proposed)
    wanted.expires = proposal.targets.expires
    if payload_of(wanted) != proposal.payload or not now < proposal.targets.expires <= proposed.expires:
        raise UntrustedError(
            f"what waits to be signed for version {version} says more than that version: withdraw it, and approve anew"
        )
