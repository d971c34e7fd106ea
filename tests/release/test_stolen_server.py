"""Whoever breaks into the server has every online key and may write the bucket. What they cannot do with that."""

import copy
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest
from release_site import Device, Site, bundle, now
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import BadVersionNumberError, UnsignedMetadataError
from tuf.api.metadata import TargetFile, Targets

from hemaloop.errors import GateRefused, UntrustedError
from hemaloop.protocol.channel import model_target
from hemaloop.protocol.documents import decode
from hemaloop.release.approvals import pending
from hemaloop.release.approvals.acts import APPROVE, REVOKE, Act, next_targets
from hemaloop.release.approvals.approval import approve
from hemaloop.release.approvals.pending import Approval, Statement, payload_of
from hemaloop.release.approvals.revocation import revoke
from hemaloop.release.audit import append
from hemaloop.release.auditing import verify_log
from hemaloop.release.channels import write_channel
from hemaloop.release.keys.signers import ONLINE_ROLES, OnlineKeys, load_key, load_online
from hemaloop.release.metadata import State, read_state, sign, target_key
from hemaloop.release.online import advance, next_channels
from hemaloop.release.parameters import EXPIRIES
from hemaloop.release.publish import publish

EVIL = bundle(3, model=b"a model that nobody approved")


@dataclass(frozen=True)
class Thief:
    """Everything that the server has, and nothing else."""

    site: Site
    keys: OnlineKeys
    signers: list[CryptoSigner]

    def next(self, kind: str, version: int, model: bytes | None = None) -> Targets:
        """Targets as honest tools would propose them."""
        targets = next_targets(self.state().targets.signed, Act(kind, version), now(), EXPIRIES)
        if model is not None:
            evil = TargetFile.from_data(model_target(version), model)
            targets.targets[evil.path] = evil
            self.site.bucket.write(target_key(evil), model)
        return targets

    def state(self) -> State:
        return read_state(self.site.bucket)

    def publish(self, targets: Targets, channel: int) -> None:
        """Made visible, with all signatures that the server can give; no check of ours in between."""
        state = self.state()
        files = {"channels/stable.json": write_channel(self.site.bucket, "stable", channel)}
        signed = sign(targets, self.signers)
        changed = replace(state, targets=signed, channels=next_channels(state, self.keys, files, now(), EXPIRIES))
        advance(self.site.bucket, state, changed, self.keys, now(), EXPIRIES)

    def propose(self, targets: Targets, person: str, signer: CryptoSigner) -> None:
        """An approval in the bucket, in `person`'s name."""
        act = pending.act_of(targets)
        assert act is not None
        payload = payload_of(targets)
        said = Statement(sha256(payload).hexdigest(), act.version, person, "trust me", now(), act.kind)
        pending.propose(self.site.bucket, targets, EVIL)
        pending.add(self.site.bucket, payload, pending.sign_statement(signer, said, payload))


@pytest.fixture
def thief(folder_site: Site) -> Thief:
    """In a repository of versions 1 and 2."""
    for version, fallback in ((1, None), (2, 1)):
        folder_site.approve(version, ["anna", "bob"], bundle(version, fallback))
        publish(folder_site.bucket, folder_site.online, "stable", now())
    state = read_state(folder_site.bucket)
    signers = [load_key(folder_site.online / f"{role}.pem") for role in ONLINE_ROLES]
    assert len(signers) == len(list(folder_site.online.glob("*.pem")))  # all there are
    return Thief(folder_site, load_online(folder_site.online, state.root, state.targets.signed), signers)


@pytest.fixture
def device(thief: Thief) -> Device:
    """It runs version 2."""
    device = thief.site.device()
    assert (device.channel(), device.model(2)) == (2, bundle(2, 1))
    return device


def believes(device: Device) -> list[bytes]:
    """The metadata that a device has taken over."""
    names = ("targets", "channels")
    return [(device.folder / "metadata" / f"{name}.json").read_bytes() for name in names]


def test_no_release_reaches_a_device_that_runs_nor_a_new_one(thief: Thief, device: Device) -> None:
    before = believes(device)
    thief.publish(thief.next(APPROVE, 3, EVIL), channel=3)

    for each in (device, thief.site.device("new")):
        with pytest.raises(UnsignedMetadataError, match="signed by 0/2 keys"):
            each.model(3)
    assert believes(device) == before


def test_no_revocation_takes_an_approved_version_away(thief: Thief, device: Device) -> None:
    before = believes(device)
    for signer in ONLINE_ROLES:
        with pytest.raises(UntrustedError, match="does not count for approvals"):
            revoke(thief.site.bucket, 2, thief.site.online / f"{signer}.pem", "anna", "hush", now())
    thief.publish(thief.next(REVOKE, 2), channel=1)

    with pytest.raises(UnsignedMetadataError, match="signed by 0/2 keys"):
        device.channel()
    assert believes(device) == before


def test_no_revoked_version_comes_back_to_a_device_that_saw_it_go(thief: Thief, device: Device) -> None:
    site, earlier = thief.site, thief.state().targets
    for person in ("anna", "chloe"):
        revoke(site.bucket, 2, site.approver(person), person, "misses blasts", now())
    publish(site.bucket, site.online, "stable", now())
    assert (device.channel(), device.model(2)) == (1, None)
    before = believes(device)

    state = thief.state()
    files = {"channels/stable.json": write_channel(site.bucket, "stable", 2)}
    channels = next_channels(state, thief.keys, files, now(), EXPIRIES)
    advance(site.bucket, state, replace(state, targets=earlier, channels=channels), thief.keys, now(), EXPIRIES)

    with pytest.raises(BadVersionNumberError):
        device.model(2)
    assert believes(device) == before


def test_no_approval_can_be_forged(thief: Thief, device: Device) -> None:
    """Neither with the server's keys, nor by giving what an approver once signed another meaning."""
    site, targets = thief.site, thief.next(APPROVE, 3, EVIL)
    for signer, person in zip(thief.signers, ("anna", "bob", "chloe"), strict=True):
        thief.propose(targets, person, signer)
    assert pending.waiting(site.bucket, thief.state(), now()) is None

    site.approve(3, ["anna"], bundle(3))
    keyid = load_key(site.approver("anna")).public_key.keyid
    (honest,) = [o.key for o in site.bucket.list(pending.PENDING) if o.key.endswith(f"/approvals/{keyid}.json")]
    approval = decode(site.bucket.read(honest), Approval)
    payload = payload_of(targets)
    moved = replace(approval, statement=replace(approval.statement, targets=sha256(payload).hexdigest()))
    for forged in (approval, moved):
        pending.add(site.bucket, payload, forged)
    again = copy.deepcopy(targets)
    again.version -= 1
    pending.propose(site.bucket, again, EVIL)
    proposal = pending.waiting(site.bucket, thief.state(), now())
    assert proposal is not None
    assert (proposal.sha256, len(proposal.approvals)) == (sha256(bundle(3)).hexdigest(), 1)
    with pytest.raises(GateRefused, match="1 of 2 approvals"):
        publish(site.bucket, site.online, "stable", now())
    for role in ONLINE_ROLES:
        with pytest.raises(UntrustedError, match="does not count for approvals"):
            approve(site.bucket, 3, bundle(3), site.online / f"{role}.pem", "bob", "hush", now())
    assert device.channel() == 2
    assert device.model(3) is None


def test_no_entry_of_the_audit_log_can_be_forged_in_an_approvers_name(thief: Thief) -> None:
    site = thief.site
    assert verify_log(site.bucket).faults == ()
    append(site.bucket, "approve", "version 3", "anna", "trust me", now(), signer=thief.keys.timestamp)
    (fault,) = verify_log(site.bucket).faults
    assert "approve by anna is not signed by an approver's key" in fault
