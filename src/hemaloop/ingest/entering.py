"""Enter what a listing found in the ledger: new uploads, and news of the sidecars of known ones."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Connection, select

from hemaloop.ingest.finding import Pair, has_arrived, identity
from hemaloop.ingest.ledger import Ledger, enter
from hemaloop.ingest.parameters import IngestParams
from hemaloop.ingest.rules import VANISHED
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.sidecars import SETTLED, News, take_in
from hemaloop.ingest.states import State
from hemaloop.storage import Bucket, StoredObject

PAIRS = 1000  # at most, in one question to the ledger: what one LIST may bring


@dataclass(frozen=True)
class Finder:
    """Who looks, where, since when, and by which parameters."""

    ledger: Ledger
    bucket: Bucket
    params: IngestParams
    classes: Sequence[str]  # the labels that are known
    now: datetime
    actor: str

    @property
    def settle(self) -> timedelta:
        return timedelta(seconds=self.params.settle_seconds)


class _Known(NamedTuple):
    id: int
    state: State
    reason: str
    sidecar_etag: str | None


_Table = dict[tuple[str, str], _Known]  # by key and ETag


def enter_pairs(finder: Finder, pairs: Iterable[Pair]) -> Iterator[StoredObject]:
    """Enter the uploads that have arrived, a page at a time; those that were new. Again, it enters nothing twice."""
    arrived = (found for found in pairs if has_arrived(found, finder.settle, finder.now))
    while page := list(islice(arrived, PAIRS)):
        yield from _enter_page(finder, page)


def _enter_page(finder: Finder, page: Sequence[Pair]) -> list[StoredObject]:
    with finder.ledger.reading() as connection:  # without news, no writer has to be waited for
        known = _known(connection, finder.bucket.url, page)
    new = _unknown(known, page)
    if new:
        sidecars = {found.image.key: found.sidecar.etag for found in page if found.image and found.sidecar}
        with finder.ledger.writing() as connection:
            new = _unknown(_known(connection, finder.bucket.url, page), page)
            enter(connection, finder.bucket.url, new, finder.actor, finder.now, sidecars)
    if news := _news(known, page):
        take_in(finder.ledger, finder.bucket, news, finder.classes, finder.actor, finder.now)
    return new


def _known(connection: Connection, url: str, page: Sequence[Pair]) -> _Table:
    keys = [found.image.key for found in page if found.image]
    columns = (uploads.c.key, uploads.c.etag, uploads.c.id, uploads.c.state, uploads.c.reason, uploads.c.sidecar_etag)
    query = select(*columns).where(uploads.c.bucket == url, uploads.c.key.in_(keys))
    return {(key, etag): _Known(id_, State(state), *more) for key, etag, id_, state, *more in connection.execute(query)}


def _unknown(known: _Table, page: Sequence[Pair]) -> list[StoredObject]:
    images = [_identified(known, found.image) for found in page if found.image]
    return [image for image in images if (image.key, image.etag) not in known]


def _identified(known: _Table, image: StoredObject) -> StoredObject:
    same = known.get((image.key, image.etag))
    return replace(image, etag=identity(image, vanished=same is not None and same.reason == VANISHED))


def _news(known: _Table, page: Sequence[Pair]) -> list[News]:
    """Sidecars that came, or were replaced, after their image was settled. Before that, measuring reads them."""
    news = []
    for found in page:
        if found.image is None or found.sidecar is None:
            continue
        image = _identified(known, found.image)
        row = known.get((image.key, image.etag))
        if row is not None and row.state in SETTLED and row.sidecar_etag != found.sidecar.etag:
            news.append(News(row.id, found.sidecar.key, found.sidecar.etag))
    return news
