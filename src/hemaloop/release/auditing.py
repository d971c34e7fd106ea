"""Whether the audit log is whole, and tells of everything that the signatures say."""

from collections.abc import Sequence

from securesystemslib.signer import Key
from tuf.api.metadata import Root, Targets

from hemaloop.release.approvals.acts import APPROVE, REVOKE, revoked
from hemaloop.release.approvals.records import Record, read_record, read_revocation
from hemaloop.release.audit import Findings, Signed, read_log, verify_entries
from hemaloop.release.channels import released
from hemaloop.release.metadata import State, metadata_key, read_state, verified, versions
from hemaloop.storage import Bucket


def verify_log(bucket: Bucket, known: Sequence[str] = (), anchor: bytes | None = None) -> Findings:
    """Check every hash, link and signature of the log, and that no release or revocation is missing from it.

    Args:
        known: hashes of entries that were seen before: who cuts the log's end off can't know that somebody kept them.
        anchor: a root.json that is trusted; None trusts the bucket's first one.

    Raises:
        ConfigError: there is no repository yet. UntrustedError: its own signatures do not hold.
    """
    state = read_state(bucket, anchor)
    found = verify_entries(read_log(bucket), _keys_ever(bucket, state), known)
    faults = [*found.faults, *_untold(bucket, state, found.entries)]
    return Findings(tuple(faults), found.forks, found.heads, found.entries)


def _keys_ever(bucket: Bucket, state: State) -> dict[str, Key]:
    """Every key that a root in the chain to today's ever named as an approver's."""
    keys = _approvers(state.root)
    newer = state.root
    for version in versions(bucket, Root.type):
        if version >= newer.version:
            continue
        # Backwards: today's root is trusted, and each one was signed by the keys of the one before it.
        before = verified(bucket.read(metadata_key(Root.type, version)), Root, None, Root.type).signed
        verified(bucket.read(metadata_key(Root.type, newer.version)), Root, before, Root.type)
        keys |= _approvers(before)
        newer = before
    return keys


def _approvers(root: Root) -> dict[str, Key]:
    return {keyid: root.get_key(keyid) for keyid in root.get_delegated_role(Targets.type).keyids}


def _untold(bucket: Bucket, state: State, entries: Sequence[Signed]) -> list[str]:
    """Releases and revocations in force that the log says nothing of."""
    faults = []
    for version in released(state.targets.signed):
        faults += _untold_act(APPROVE, version, read_record(bucket, version), entries)
    for version in sorted(revoked(state.targets.signed)):
        faults += _untold_act(REVOKE, version, read_revocation(bucket, version), entries)
    return faults


def _untold_act(act: str, version: int, record: Record | None, entries: Sequence[Signed]) -> list[str]:
    if record is None:
        return [f"releases/: nobody is recorded to {act} version {version}, which targets say was done"]
    told = {signed.key for signed in entries if _is(signed, act, version)}
    people = [each.statement.person for each in record.approvals if each.key not in told]
    faults = [f"the log does not tell that {person} did {act} version {version}" for person in people]
    if not any(_is(signed, "publish", version) and signed.entry.details.get("act") == act for signed in entries):
        faults.append(f"the log does not tell that it was published to {act} version {version}")
    return faults


def _is(signed: Signed, event: str, version: int) -> bool:
    return (signed.entry.event, signed.entry.subject) == (event, f"version {version}")
