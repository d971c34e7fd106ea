"""The states of an upload, and which may follow which."""

from enum import StrEnum


class State(StrEnum):
    DISCOVERED = "discovered"  # seen in the bucket
    CLAIMED = "claimed"  # a run is working on it, until its lease ends
    ACCEPTED = "accepted"  # good; in a batch once sealed
    QUARANTINED = "quarantined"  # refused, with a reason
    DUPLICATE = "duplicate"  # the same picture as an older, accepted upload
    VERSIONED = "versioned"  # in a dataset revision
    PURGED = "purged"  # was in quarantine until its time was up; its bytes are gone, its row stays
    FORGOTTEN = "forgotten"  # consent was withdrawn: its bytes and what was known of it are gone


# A claim may pass to another run (claimed -> claimed) or be given up (claimed -> discovered).
_NEXT = {
    State.DISCOVERED: {State.CLAIMED},
    State.CLAIMED: {State.CLAIMED, State.DISCOVERED, State.ACCEPTED, State.QUARANTINED, State.DUPLICATE},
    State.ACCEPTED: {State.VERSIONED, State.QUARANTINED},  # quarantined: its bytes vanished before they were versioned
    State.QUARANTINED: {State.PURGED},
    State.DUPLICATE: {State.DISCOVERED},  # what it was a duplicate of vanished
    State.VERSIONED: set[State](),
    State.PURGED: set[State](),
    State.FORGOTTEN: set[State](),
}
_RELEASED = {State.ACCEPTED, State.DUPLICATE}


def may_follow(before: State, after: State, by_person: bool = False) -> bool:
    """Whether `after` may follow `before`. A person alone can release one from quarantine, or have it forgotten."""
    if by_person and after is State.FORGOTTEN:
        return before is not State.FORGOTTEN
    if by_person and after is not State.PURGED:
        return before is State.QUARANTINED and after in _RELEASED
    return after in _NEXT[before]
