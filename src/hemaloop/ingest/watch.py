"""Poll for new uploads: the listing finds, the ledger decides."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain, islice

from hemaloop.ingest.entering import Finder, enter_pairs
from hemaloop.ingest.finding import is_partition, pair, partitions
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.parameters import IngestParams
from hemaloop.ingest.reconciling import last_reconciliation, reconcile
from hemaloop.protocol.keys import UPLOADS
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

THREADS = 8  # partitions that are listed at once


def discover(
    ledger: Ledger,
    bucket: Bucket,
    params: IngestParams,
    classes: Sequence[str],
    now: datetime,
    actor: str,
    hints: Sequence[str] = (),
) -> int:
    """Enter what is new in recent partitions in the ledger; returns how many. Again, it enters nothing twice.

    A bucket that was never looked at as a whole is reconciled instead: what it held before counts too.

    Args:
        classes: the labels that are known.
        hints: keys that a notification named; where they are is listed too. They decide nothing else.
    """
    finder = Finder(ledger, bucket, params, classes, now, actor)
    if last_reconciliation(ledger, bucket.url) is None:
        return reconcile(finder).entered
    prefixes = partitions(bucket.folders(UPLOADS), now, params.window_days, hints)
    with ThreadPoolExecutor(THREADS) as pool:
        entered = sum(pool.map(lambda prefix: _list(finder, prefix), prefixes))
    if entered:
        log.info("%d new uploads in %s", entered, bucket.url)
    return entered


def _list(finder: Finder, prefix: str) -> int:
    """A partition wholly; elsewhere one page, whatever a hint says."""
    pages = finder.bucket.pages(prefix)
    objects = chain.from_iterable(pages if is_partition(prefix) else islice(pages, 1))
    return sum(len(page.new) for page in enter_pairs(finder, pair(objects)))
