"""What an ingest run did."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.records import SealedBatch
from hemaloop.ingest.rules import Judgement
from hemaloop.ingest.settle import Settled


@dataclass
class Summary:
    """Grows as the run goes on."""

    discovered: int
    accepted: int = 0
    duplicates: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    batches: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)  # rows of a table

    def add_round(self, measured: Sequence[Measured], judgement: Judgement, settled: Settled) -> None:
        self.accepted += settled.accepted
        self.duplicates += settled.duplicates
        self.quarantined.update(settled.quarantined)
        for found in measured:
            if refusal := judgement.refused.get(found.upload):
                self.refused.append({"upload": found.key, "reason": refusal.reason, "found": refusal.note})

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
