"""Versions that no device may run: a field of the timestamp, the first metadata after root that a client verifies."""

from collections.abc import Iterable, Mapping
from typing import Any

from hemaloop.errors import UntrustedError

FIELD = "hemaloop"  # our part of the timestamp; other TUF clients pass over it
HALTED = "halted"


def halted_versions(fields: Mapping[str, Any]) -> frozenset[int]:
    """The versions that a timestamp halts.

    Args:
        fields: those of its signed part that TUF itself does not know.

    Raises:
        UntrustedError: it says so in no form that we know.
    """
    said = fields.get(FIELD, {})
    versions = said.get(HALTED, []) if isinstance(said, dict) else None
    if not isinstance(versions, list) or not all(type(version) is int for version in versions):
        raise UntrustedError(f"timestamp: {FIELD}: wanted {HALTED}, a list of versions, got {said!r}")
    return frozenset(versions)


def halting(versions: Iterable[int]) -> dict[str, Any]:
    """The field of a timestamp that halts `versions`, and no others."""
    return {FIELD: {HALTED: sorted(versions)}}
