"""Enter what a listing found in the ledger: new uploads, and news of the sidecars of known ones."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Connection, select

from hemaloop.ingest.finding import SIDECAR, Pair, has_arrived, identity, is_settled
from hemaloop.ingest.ledger import Ledger, enter
from hemaloop.ingest.parameters import IngestParams
from hemaloop.ingest.rules import VANISHED
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.sidecars import SETTLED, News, take_in
from hemaloop.ingest.states import State
from hemaloop.protocol.keys import IMAGE_SUFFIXES
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


@dataclass(frozen=True)
class Entered:
    """What a page of pairs brought."""

    new: tuple[StoredObject, ...]  # uploads that the ledger did not know
    alone: tuple[StoredObject, ...]  # sidecars of no upload that it knows


class _Row(NamedTuple):
    id: int
    state: State
    reason: str
    sidecar_etag: str | None


@dataclass(frozen=True)
class _Known:
    """What the ledger knows of a page."""

    rows: dict[tuple[str, str], _Row]  # by key and ETag
    last: dict[str, _Row]  # by key: the newest of them

    def identified(self, image: StoredObject) -> StoredObject:
        """With the ETag under which the ledger knows it, or would."""
        same = self.rows.get((image.key, image.etag))
        return replace(image, etag=identity(image, vanished=same is not None and same.reason == VANISHED))

    def beside(self, found: Pair) -> list[_Row]:
        """The uploads that a listed sidecar belongs to; where it is alone, their objects are gone."""
        if found.image is None:
            return [self.last[key] for key in _keys(found) if key in self.last]
        image = self.identified(found.image)
        return [self.rows[image.key, image.etag]] if (image.key, image.etag) in self.rows else []


def enter_pairs(finder: Finder, pairs: Iterable[Pair]) -> Iterator[Entered]:
    """Enter the uploads that have arrived, a page at a time. Again, it enters nothing twice."""
    due = (found for found in pairs if _is_due(found, finder.settle, finder.now))
    while page := list(islice(due, PAIRS)):
        yield _enter_page(finder, page)


def _is_due(found: Pair, settle: timedelta, now: datetime) -> bool:
    """A young sidecar alone is no news: its image came after the page that it belongs on had been listed."""
    alone = found.image is None and found.sidecar is not None and is_settled(found.sidecar, settle, now)
    return alone or has_arrived(found, settle, now)


def _enter_page(finder: Finder, page: Sequence[Pair]) -> Entered:
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
    alone = [found.sidecar for found in page if found.image is None and found.sidecar and not known.beside(found)]
    return Entered(tuple(new), tuple(alone))


def _known(connection: Connection, url: str, page: Sequence[Pair]) -> _Known:
    keys = [key for found in page for key in _keys(found)]
    columns = (uploads.c.key, uploads.c.etag, uploads.c.id, uploads.c.state, uploads.c.reason, uploads.c.sidecar_etag)
    query = select(*columns).where(uploads.c.bucket == url, uploads.c.key.in_(keys)).order_by(uploads.c.id)
    rows = {(key, etag): _Row(id_, State(state), *more) for key, etag, id_, state, *more in connection.execute(query)}
    return _Known(rows, {key: row for (key, _), row in rows.items()})


def _keys(found: Pair) -> list[str]:
    """Of the image; of a sidecar alone, all that its image can have had."""
    if found.image is not None:
        return [found.image.key]
    assert found.sidecar is not None
    return [found.sidecar.key.removesuffix(SIDECAR) + suffix for suffix in IMAGE_SUFFIXES]


def _unknown(known: _Known, page: Sequence[Pair]) -> list[StoredObject]:
    images = [known.identified(found.image) for found in page if found.image]
    return [image for image in images if (image.key, image.etag) not in known.rows]


def _news(known: _Known, page: Sequence[Pair]) -> list[News]:
    """Sidecars that came, or were replaced, after their image was settled. Before that, measuring reads them."""
    return [
        News(row.id, found.sidecar.key, found.sidecar.etag)
        for found in page
        if found.sidecar is not None
        for row in known.beside(found)
        if row.state in SETTLED and row.sidecar_etag != found.sidecar.etag
    ]
