"""Versions that no device may run.

Halted: by the server, in a field of the timestamp, the first metadata after root that a client verifies.
Revoked: by the approvers, in a field of the targets; whatever the server says, they never run again.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from hemaloop.errors import UntrustedError

FIELD = "hemaloop"  # our part of the metadata; other TUF clients pass over it
HALTED = "halted"
REVOKED = "revoked"


def halted_versions(fields: Mapping[str, Any]) -> frozenset[int]:
    """The versions that a timestamp halts.

    Args:
        fields: those of its signed part that TUF itself does not know.

    Raises:
        UntrustedError: it says so in no form that we know.
    """
    return _versions(fields, HALTED, "timestamp")


def revoked_versions(fields: Mapping[str, Any]) -> frozenset[int]:
    """The versions that the approvers revoked. Args, raises: as `halted_versions`, of the targets."""
    return _versions(fields, REVOKED, "targets")


def halting(versions: Iterable[int]) -> dict[str, Any]:
    """The field of a timestamp that halts `versions`, and no others."""
    return {FIELD: {HALTED: sorted(versions)}}


def _versions(fields: Mapping[str, Any], name: str, role: str) -> frozenset[int]:
    said = fields.get(FIELD, {})
    versions = said.get(name, []) if isinstance(said, dict) else None
    if not isinstance(versions, list) or not all(type(version) is int for version in versions):
        raise UntrustedError(f"{role}: {FIELD}: wanted {name}, a list of versions, got {said!r}")
    return frozenset(versions)
