"""What params.yaml says of ingest."""

from dataclasses import dataclass
from pathlib import Path

from hemaloop.config import check, read_classes, read_section
from hemaloop.ingest.privacy import POLICIES
from hemaloop.ingest.thresholds import Thresholds


@dataclass(frozen=True)
class IngestParams:
    """Section `ingest` of params.yaml."""

    settle_seconds: float
    window_days: int
    chunk_images: int
    lease_seconds: int
    near_duplicate_bits: int
    batch_images: int
    private_metadata: str

    def __post_init__(self) -> None:
        check(self.settle_seconds >= 0, f"settle_seconds {self.settle_seconds}: wanted 0 or more")
        check(0 <= self.window_days <= 366, f"window_days {self.window_days}: wanted 0 to 366")
        check(self.chunk_images >= 1, f"chunk_images {self.chunk_images}: wanted 1 or more")
        check(self.lease_seconds >= 1, f"lease_seconds {self.lease_seconds}: wanted 1 or more")
        # Beyond that, bands are so narrow that each look-up would meet most of the history.
        check(0 <= self.near_duplicate_bits <= 8, f"near_duplicate_bits {self.near_duplicate_bits}: wanted 0 to 8")
        wanted = ", ".join(POLICIES)
        check(self.private_metadata in POLICIES, f"private_metadata {self.private_metadata!r}: wanted one of {wanted}")
        check(self.batch_images >= 1, f"batch_images {self.batch_images}: wanted 1 or more")


@dataclass(frozen=True)
class QuarantineParams:
    """Section `quarantine` of params.yaml."""

    keep_days: int

    def __post_init__(self) -> None:
        check(self.keep_days >= 1, f"keep_days {self.keep_days}: wanted 1 or more")


@dataclass(frozen=True)
class Parameters:
    """All that an ingest run reads from params.yaml."""

    classes: tuple[str, ...]
    ingest: IngestParams
    validate: Thresholds


def read_parameters(path: Path) -> Parameters:
    """Raises: ConfigError: a section or key is missing, unknown or out of range."""
    return Parameters(
        read_classes(path),
        read_section(path, "ingest", IngestParams),
        read_section(path, "validate", Thresholds),
    )
