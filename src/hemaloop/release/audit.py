"""The audit log: who did what to releases, when and why; appended to, never changed.

    audit/<number>-<hash>.json    Signed: one entry; <hash> is the SHA-256 of the object

Each entry names the hashes of the entries that nothing followed when it was written, usually one: so
none before it can be changed or taken away unnoticed. The store has no conditional writes to hold a
lock with. Two that append at once therefore write different objects with the same number, after the
same entry: neither is lost, the next entry joins both, and `verify_entries` tells of the two.

An entry is written before what it tells of takes effect: nothing happens untold, and a process that
was killed in between leaves an entry that is there again when it was run again.

Source: the chain of hashes is that of Haber and Stornetta 1991, doi:10.1007/BF00196791.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signature, Signer

from hemaloop.errors import DataError
from hemaloop.protocol.documents import decode, encode
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

AUDIT = "audit/"  # not below releases/: devices have no business with people's names and reasons
EVENTS = ("approve", "withdraw", "publish", "revoke", "channel", "rollout", "halt", "unhalt", "keys")
PERSONAL = ("approve", "revoke")  # only an approver's key can have done this, so the entry is signed with it
TAIL = 64  # entries that an append looks at for those that nothing follows

_NAME = re.compile(re.escape(AUDIT) + r"(\d{8})-([0-9a-f]{64})\.json")


@dataclass(frozen=True)
class Entry:
    """One thing that was done."""

    number: int  # one more than the highest of those before it; the first is 1
    previous: tuple[str, ...]  # SHA-256 of the entries that nothing followed yet
    event: str  # of EVENTS
    subject: str  # what it was done to: "version 7", "channel stable", "root 3"
    by: str  # a person, or "server"
    reason: str
    at: datetime
    details: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.number} {self.at:%Y-%m-%d %H:%M} {self.event} {self.subject}, {self.by}: {self.reason}"


@dataclass(frozen=True)
class Signed:
    """An entry as it is stored."""

    entry: Entry
    key: str = ""  # TUF key id; "": nobody signed
    signature: str = ""  # hexadecimal, over the entry


@dataclass(frozen=True)
class Stored:
    """An object of the log, whatever is in it."""

    name: str  # its key in the bucket
    number: int
    sha256: str  # as the name says
    data: bytes


@dataclass(frozen=True)
class Findings:
    """What is wrong with a log, and what a reader should know of it."""

    faults: tuple[str, ...]  # each says where; none: the chain holds
    forks: tuple[str, ...]  # entries that were written side by side: no fault, but nothing to overlook
    heads: tuple[str, ...]  # hashes of the entries that nothing follows: keep them elsewhere
    entries: tuple[Signed, ...]  # those that can be read, oldest first


def append(
    bucket: Bucket,
    event: str,
    subject: str,
    by: str,
    reason: str,
    now: datetime,
    details: Mapping[str, str] | None = None,
    signer: Signer | None = None,
) -> str:
    """Add an entry; call it before what it tells of takes effect.

    Args:
        event: of EVENTS. subject: "version 7", "channel stable". by: a person, or "server".
        signer: whose key did it; PERSONAL events want one.

    Returns:
        The entry's hash.

    Raises:
        ValueError: no such event, or a PERSONAL one without a signer.
    """
    if event not in EVENTS or (event in PERSONAL and signer is None):
        raise ValueError(f"event {event!r}: wanted one of {', '.join(EVENTS)}, signed if it is a person's")
    number, previous = _ends(read_log(bucket, TAIL))
    entry = Entry(number + 1, previous, event, subject, by, reason, now, dict(details or {}))
    data = encode(_signed(entry, signer))
    digest = sha256(data).hexdigest()
    bucket.write(f"{AUDIT}{entry.number:08}-{digest}.json", data)
    log.info("audit: %s", entry)
    return digest


def read_log(bucket: Bucket, last: int | None = None) -> list[Stored]:
    """The `last` objects of the log (None: all), in order of their numbers; nothing is believed yet."""
    matches = [match for found in bucket.list(AUDIT) if (match := _NAME.fullmatch(found.key))]
    matches = matches if last is None else matches[-last:]
    contents = bucket.read_many([match[0] for match in matches])
    return [Stored(match[0], int(match[1]), match[2], contents[match[0]] or b"") for match in matches]


def verify_entries(stored_log: Sequence[Stored], keys: Mapping[str, Key], known: Sequence[str] = ()) -> Findings:
    """Check a whole log: every hash, every link, every signature.

    Args:
        stored_log: from `read_log`, all of it.
        keys: every approver's key there ever was, by its id; nobody else signs entries.
        known: hashes that were seen in this log before, by somebody who kept them.
    """
    entries = {stored.sha256: _entry(stored) for stored in stored_log}
    faults = [
        f"{stored.name}: its content is not what its name says: it was changed"
        for stored in stored_log
        if entries[stored.sha256] is None
    ]
    readable = {digest: signed for digest, signed in entries.items() if signed is not None}
    for stored in stored_log:
        signed = readable.get(stored.sha256)
        if signed is not None:
            faults += [f"{stored.name}: {fault}" for fault in _entry_faults(signed, stored, entries, readable, keys)]
    faults += [f"entry {digest} was in the log and is gone" for digest in known if digest not in entries]
    followed = {digest for signed in readable.values() for digest in signed.entry.previous}
    heads = tuple(digest for digest in entries if digest not in followed)
    return Findings(tuple(faults), tuple(_forks(list(readable.values()))), heads, tuple(readable.values()))


def _signed(entry: Entry, signer: Signer | None) -> Signed:
    if signer is None:
        return Signed(entry)
    return Signed(entry, signer.public_key.keyid, signer.sign(encode(entry)).signature)


def _ends(tail: Sequence[Stored]) -> tuple[int, tuple[str, ...]]:
    """The highest number, and the entries that nothing follows, whatever is in them."""
    followed: set[str] = set()
    for stored in tail:
        signed = _entry(stored)
        followed |= set(signed.entry.previous) if signed else set()
    number = max((stored.number for stored in tail), default=0)
    return number, tuple(stored.sha256 for stored in tail if stored.sha256 not in followed)


def _entry(stored: Stored) -> Signed | None:
    """What an object says; None: it is not what its name says."""
    if sha256(stored.data).hexdigest() != stored.sha256:
        return None
    try:
        return decode(stored.data, Signed)
    except DataError as error:
        log.warning("%s: %s", stored.name, error)
        return None


def _entry_faults(
    signed: Signed,
    stored: Stored,
    present: Mapping[str, Signed | None],
    readable: Mapping[str, Signed],
    keys: Mapping[str, Key],
) -> list[str]:
    entry, faults = signed.entry, []
    missing = [digest for digest in entry.previous if digest not in present]
    faults += [f"it follows entry {digest}, which is gone" for digest in missing]
    numbers = [readable[digest].entry.number for digest in entry.previous if digest in readable]
    if entry.number != stored.number or (
        len(numbers) == len(entry.previous) and entry.number != 1 + max([0, *numbers])
    ):
        faults.append(f"it says that it is entry {entry.number}, after {numbers or 'none'}")
    if entry.event in PERSONAL and not signed.key:
        faults.append(f"{entry.event} by {entry.by} is not signed")
    if signed.key and not _verifies(signed, keys):
        faults.append(f"{entry.event} by {entry.by} is not signed by an approver's key")
    return faults


def _verifies(signed: Signed, keys: Mapping[str, Key]) -> bool:
    try:
        keys[signed.key].verify_signature(Signature(signed.key, signed.signature), encode(signed.entry))
    except (KeyError, UnverifiedSignatureError):
        return False
    return True


def _forks(entries: Sequence[Signed]) -> list[str]:
    """Entries that follow the same one: written at the same moment, or put in later."""
    followers: dict[str, list[Entry]] = {}
    for signed in entries:
        for digest in signed.entry.previous or ("",):
            followers.setdefault(digest, []).append(signed.entry)
    return ["side by side: " + "; ".join(map(str, found)) for found in followers.values() if len(found) > 1]
