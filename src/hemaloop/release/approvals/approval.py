"""An approval is a signature: over the targets metadata that names a model by its hash."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tuf.api.metadata import Root, TargetFile, Targets

from hemaloop.errors import ConfigError, GateRefused, UntrustedError
from hemaloop.protocol.bundle import Release, unpack
from hemaloop.protocol.channel import model_target
from hemaloop.release import audit
from hemaloop.release.approvals import acts
from hemaloop.release.approvals import pending as pending_approvals
from hemaloop.release.approvals.acts import APPROVE, Act
from hemaloop.release.approvals.pending import PENDING, Approval, Proposal
from hemaloop.release.approvals.signing import Words, anchor_of, approver, sign_proposed
from hemaloop.release.channels import CUSTOM, described, released
from hemaloop.release.keys.signers import owner_of
from hemaloop.release.metadata import State, read_state
from hemaloop.release.parameters import EXPIRIES, Expiries
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Approvals:
    """Where a version's approval, or its revocation, stands."""

    version: int
    people: tuple[str, ...]  # who approved, in the order of their signing
    threshold: int
    sha256: str = ""  # of the bundle
    approvals: tuple[Approval, ...] = ()
    act: str = APPROVE  # or REVOKE
    expired: tuple[str, ...] = ()  # people whose approval is too old to count
    author: str = ""  # of the candidate, as git writes people; "": not known
    author_alone: bool = False  # nobody but the author has approved

    @property
    def missing(self) -> int:
        """Signatures still wanted; one more where nobody but the author has signed."""
        return max(int(self.author_alone), self.threshold - len(self.people))

    @property
    def shortfall(self) -> str:
        """What is still wanted, in words."""
        alone = f"; {self.author} made it, so somebody else must approve it too" if self.author_alone else ""
        expired = f"; expired: {', '.join(self.expired)}" if self.expired else ""
        command = f"hemaloop approve {'--revoke ' if self.act != APPROVE else ''}{self.version}"
        return (
            f"version {self.version}: {len(self.people)} of {self.threshold} approvals "
            f"({', '.join(self.people)}); {self.missing} missing{alone}{expired}: `{command}`"
        )


def approve(
    bucket: Bucket,
    version: int,
    bundle: bytes,
    key: Path | str,
    person: str,
    reason: str,
    now: datetime,
    expiries: Expiries = EXPIRIES,
    author: str = "",
    documents: Mapping[str, str] | None = None,
    anchor: bytes | None = None,
) -> Approvals:
    """Sign a version. The first approver fixes what is signed; the next sign the same bytes.

    What was pending is compared with what this approver's own `bundle` makes of the published
    targets, so that nothing but this bundle is signed. The root.json beside the key, if there is
    one, is trusted rather than the bucket's.

    Args:
        bundle: what the approver looked at, as `build_bundle` made it.
        key: the approver's key file, or where their key is, as `signing.approver` takes it.
        person, reason: kept, signed, with the release.
        author: of the candidate, as git writes people; signed too, and never its only approver.
        anchor: the root.json that the approver trusts (default: the one beside a key file).
        documents: SHA-256 of what else the approver was shown, by name; signed too.

    Raises:
        ConfigError: the key cannot be read, or person or reason is empty.
        UntrustedError: the key does not count, or what waits to be signed is not this bundle.
        GateRefused: another version waits, or this one cannot follow what is released.
    """
    words = Words(person, reason, now)
    state = read_state(bucket, anchor or anchor_of(key))
    signer = approver(state.root, key)
    act = Act(APPROVE, version)
    told = {"author": author, "documents": dict(documents or {})}
    proposed = _propose(state, act, bundle, told, now, expiries)
    proposal = sign_proposed(bucket, state, signer, proposed, bundle, words, expiries)
    return standing(proposal, state.root)


def pending(bucket: Bucket, now: datetime, expiries: Expiries = EXPIRIES) -> Approvals | None:
    """What waits for approvals or for publishing, and who signed it; None: nothing does."""
    state = read_state(bucket)
    proposal = pending_approvals.waiting(bucket, state, now, expiries)
    return None if proposal is None else standing(proposal, state.root)


def withdraw(bucket: Bucket, now: datetime, by: str = "somebody", reason: str = "withdrawn") -> Approvals | None:
    """Drop what waits, so that another version can be approved; what was dropped, or None.

    Enough signatures remain enough for whoever kept a copy: to forbid an approved version, approve or revoke another.
    """
    dropped = pending(bucket, now)
    if dropped is not None:
        people = ", ".join(dropped.people)
        audit.append(bucket, "withdraw", f"version {dropped.version}", by, reason, now, {"approved by": people})
        log.info("withdrew version %d, approved by %s", dropped.version, people)
    pending_approvals.discard(bucket, [PENDING])
    return dropped


def standing(proposal: Proposal, root: Root) -> Approvals:
    """Who approved a proposal, and how many must."""
    target = proposal.targets.targets.get(model_target(proposal.version))
    author = "" if target is None else str(described(target).get("author", ""))
    owners = [owner_of(root.get_key(approval.key)) for approval in proposal.approvals]
    return Approvals(
        proposal.version,
        tuple(approval.statement.person for approval in proposal.approvals),
        root.get_delegated_role(Targets.type).threshold,
        proposal.sha256,
        proposal.approvals,
        proposal.act.kind,
        tuple(approval.statement.person for approval in proposal.expired),
        author,
        bool(owners) and all(is_author(owner, author) for owner in owners),
    )


def is_author(owner: str, author: str) -> bool:
    """Whether the owner of an approver's key is the person whom git writes as "Name <address>".

    By name, address, or the part of it before the @; capitals don't matter, nor what joins first and last name.
    """
    name, _, rest = author.partition("<")
    address = rest.partition(">")[0]
    return _plain(owner) in {_plain(name), _plain(address), _plain(address.partition("@")[0])} - {""}


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", ".").replace("_", ".").replace("-", ".")


def _propose(
    state: State, act: Act, bundle: bytes, told: Mapping[str, Any], now: datetime, expiries: Expiries
) -> Targets:
    """The published targets with this version added: the same for every approver on the same day."""
    release = unpack(bundle).release
    _check_follows(release, act.version, state.targets.signed)
    target = TargetFile.from_data(model_target(act.version), bundle)
    target.unrecognized_fields["custom"] = {
        CUSTOM: {"fallback": release.fallback, "dataset_revision": release.dataset_revision, **told}
    }
    targets = acts.next_targets(state.targets.signed, act, now, expiries)
    targets.targets[model_target(act.version)] = target
    return targets


def _check_follows(release: Release, version: int, targets: Targets) -> None:
    if release.version != version:
        raise UntrustedError(
            f"the bundle is of version {release.version}, not {version}: build the bundle of {version}"
        )
    if version < 1:
        raise ConfigError(f"version: wanted 1 or more, got {version}")
    newest = acts.newest(targets)
    if version <= newest:
        raise GateRefused(
            f"version {version} is not newer than {newest}, which is released: register it again to release it"
        )
    if release.fallback is not None and release.fallback not in released(targets):
        raise GateRefused(
            f"version {version} names {release.fallback} to fall back to, which is not released: "
            "never approved, or revoked since"
        )
