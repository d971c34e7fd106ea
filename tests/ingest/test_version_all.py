"""One batch that cannot be versioned keeps no other from its turn; what is wrong for all ends the run."""

from collections.abc import Callable

import pytest

from hemaloop.errors import DataError, TransientError
from hemaloop.ingest.records import SealedBatch
from tasks.ingest_steps import FAILURES, version_all


def batches(*names: str) -> Callable[[], SealedBatch | None]:
    waiting = [SealedBatch(name, (), ()) for name in names]
    return lambda: waiting.pop(0) if waiting else None


def test_the_others_are_versioned_and_the_error_is_told_at_the_end() -> None:
    def version(sealed: SealedBatch) -> str | None:
        if sealed.id == "bad":
            raise DataError("a group on two sides")
        return None if sealed.id == "dissolved" else f"commit of {sealed.id}"

    done: list[tuple[str, str]] = []
    versioned = version_all(batches("a", "bad", "dissolved", "b"), version)
    with pytest.raises(DataError, match="two sides"):
        done.extend((sealed.id, commit) for sealed, commit in versioned)
    assert done == [("a", "commit of a"), ("b", "commit of b")]


def test_when_everything_fails_it_does_not_try_them_all() -> None:
    tried = []

    def version(sealed: SealedBatch) -> str | None:
        tried.append(sealed.id)
        raise TransientError("the remote is away")

    with pytest.raises(TransientError):
        list(version_all(batches(*(str(number) for number in range(50))), version))
    assert len(tried) == FAILURES
