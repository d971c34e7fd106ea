"""Who approved or revoked each version, and why: releases/approvals/ and releases/revocations/<version>.json."""

from collections.abc import Iterable
from dataclasses import dataclass

from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import RELEASES
from hemaloop.release.approvals.acts import APPROVE
from hemaloop.release.approvals.pending import Approval, Proposal
from hemaloop.storage import Bucket

APPROVALS = f"{RELEASES}approvals/"
REVOCATIONS = f"{RELEASES}revocations/"


@dataclass(frozen=True)
class Record:
    """The approvals of one released version, or of its revocation; oldest first."""

    version: int
    sha256: str  # of the bundle; "": it is revoked
    approvals: tuple[Approval, ...]

    @property
    def people(self) -> tuple[str, ...]:
        return people_of(self.approvals)


def people_of(approvals: Iterable[Approval]) -> tuple[str, ...]:
    """Whose approvals these are."""
    return tuple(approval.statement.person for approval in approvals)


def keep_record(bucket: Bucket, proposal: Proposal) -> None:
    """Keep the approvals of what was published; the first record stays."""
    record = Record(proposal.version, proposal.sha256, proposal.approvals)
    key = f"{APPROVALS if proposal.act.kind == APPROVE else REVOCATIONS}{proposal.version}.json"
    if not bucket.exists(key):
        bucket.write(key, encode(record))


def read_record(bucket: Bucket, version: int) -> Record | None:
    """The approvals of a release; None: none are kept."""
    return _read(bucket, f"{APPROVALS}{version}.json")


def read_revocation(bucket: Bucket, version: int) -> Record | None:
    """Who revoked a version; None: nobody did."""
    return _read(bucket, f"{REVOCATIONS}{version}.json")


def _read(bucket: Bucket, key: str) -> Record | None:
    try:
        return decode(bucket.read(key), Record)
    except FileNotFoundError:
        return None
