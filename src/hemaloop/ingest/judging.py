"""Judge a round, publish its pages, and keep what was found."""

import logging
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from hemaloop.ingest import docs, rounds
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.rules import Judgement
from hemaloop.ingest.thresholds import Thresholds
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


def judge_round(
    ledger: Ledger, bucket: Bucket, measured: Sequence[Measured], thresholds: Thresholds, now: datetime, local: Path
) -> Judgement:
    """Which uploads are refused, and whether the round is suspect. Again, it finds and writes the same.

    Args:
        local: folder of the Data Docs on this machine; the bucket gets them too.
    """
    from hemaloop.ingest import expectations  # seconds: only when there is something to judge

    earlier = rounds.before(ledger, measured, thresholds)
    with tempfile.TemporaryDirectory() as site:
        judgement = expectations.judge(measured, thresholds, earlier, now, Path(site))
        docs.publish(bucket, Path(site), local)
    rounds.record_round(ledger, judgement, len(measured), now)
    for line in judgement.suspect:
        log.warning("round %s is suspect: %s", judgement.round, line)
    for line in judgement.warnings:
        log.warning("round %s: %s", judgement.round, line)
    return judgement
