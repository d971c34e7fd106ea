"""A rollout to decide on, and evidence of it."""

from datetime import UTC, datetime

from hemaloop.release.rollout.bounds import Share
from hemaloop.release.rollout.parameters import Limits, Phase, RolloutParams
from hemaloop.release.rollout.rule import Evidence, State

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
LIMITS = Limits(
    failed=0.05, errors=0.02, latency_ratio=1.5, slow=0.25, shift=0.3, disagreement=0.2, silent=0.2,
)  # fmt: skip
PARAMS = RolloutParams(
    phases=(Phase(5.0, 3, 200, 24.0), Phase(25.0, 10, 1000, 24.0), Phase(100.0, 20, 2000, 24.0)),
    limits=LIMITS, confidence=0.99, device_images=100, silent_hours=24.0, reference_days=14.0,
    bad_looks=2, good_looks=3, shadow=True,
)  # fmt: skip


def state(percent: float = 5.0) -> State:
    """Of version 2 on its way to where version 1 is."""
    return State("stable", 2, 1, "2", percent, START, START, returnable=True)


def good_evidence(heard: int, images: int) -> Evidence:
    cells = {"neutrophil": 600.0, "basophil": 30.0}
    return Evidence(
        heard=heard, placed=30, devices=30, images=images, failed=Share(0, 30), errors=Share(1, 3000),
        errors_before=Share(10, 30000), slow=Share(1, 30), labels=cells, labels_before=cells,
        disagreed=Share(100, 3000), silent=Share(1, 30), silent_others=Share(20, 600),
    )  # fmt: skip
