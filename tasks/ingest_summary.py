"""What an ingest run did."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hemaloop.ingest.records import SealedBatch
from hemaloop.ingest.settle import Settled


@dataclass
class Summary:
    """Grows as the run goes on, but not with every upload."""

    discovered: int
    accepted: int = 0
    duplicates: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    batches: list[dict[str, Any]] = field(default_factory=list)

    def add_round(self, settled: Settled) -> None:
        self.accepted += settled.accepted
        self.duplicates += settled.duplicates
        self.quarantined.update(settled.quarantined)

    def add_batch(self, sealed: SealedBatch, commit: str) -> None:
        self.batches.append({"id": sealed.id, "commit": commit, "images": len(sealed.images)})

    def plain(self) -> dict[str, Any]:
        return {
            "discovered": self.discovered,
            "accepted": self.accepted,
            "quarantined": dict(sorted(self.quarantined.items())),
            "duplicates": self.duplicates,
            "batches": self.batches,
        }
