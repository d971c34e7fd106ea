"""What git records of all batches, parsed once: so that sealing a batch costs what the batch costs.

The cache is derived and may be lost: it is filled from the files that git names, each known by the hash of its
content, and made anew where one of them was changed or removed, or where it cannot be read. Only git is believed.
"""

import dataclasses
import logging
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hemaloop.dataset.batch import Batch, Origin
from hemaloop.dataset.groups import RUN, Components, pseudonyms, run_name
from hemaloop.dataset.records import SIDES, History, SealedImage, SealedLink, read_batches
from hemaloop.dataset.seal import count_sides
from hemaloop.dataset.split import Counts

log = logging.getLogger(__name__)

Record = TypeVar("Record", SealedImage, SealedLink)
Node = tuple[int, str]  # as in groups.Components: (0, group) or (1, sha256)

_LAYOUT = 1  # another one is another cache
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _columns(cls: type[Any]) -> str:
    return ", ".join(f'"{field.name}"' for field in dataclasses.fields(cls))


_TABLES = f"""
CREATE TABLE files (name TEXT PRIMARY KEY, blob TEXT NOT NULL);
CREATE TABLE nodes (kind INTEGER, name TEXT, component INTEGER NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE INDEX nodes_by_component ON nodes (component);
CREATE TABLE images (batch, {_columns(SealedImage)});
CREATE TABLE links (batch, {_columns(SealedLink)});
CREATE INDEX images_by_group ON images ("group");
CREATE INDEX links_by_group ON links ("group");
CREATE INDEX image_runs ON images (device, captured_at) WHERE "group" GLOB '{RUN}*';
CREATE INDEX link_runs ON links (device, captured_at) WHERE "group" GLOB '{RUN}*';
CREATE TABLE totals (side TEXT, label TEXT, images INTEGER NOT NULL, PRIMARY KEY (side, label));
PRAGMA user_version = {_LAYOUT};
"""


@dataclass(frozen=True)
class Related:
    """What `seal` needs: the components that a batch touches, and of all others the numbers alone."""

    history: History
    elsewhere: dict[str, Counts]


def related(path: Path, folder: Path, blobs: Mapping[str, str], batch: Batch, within: timedelta) -> Related:
    """What has to do with a batch, of all that is sealed.

    Args:
        path: the cache.
        folder: data/batches of a clone, as git has it.
        blobs: git's hash of each CSV in it, by name.
        within: as `assign_groups` takes it.

    Raises:
        DataError: a file is not as `to_csv` writes it, or a group is on two sides.
    """
    try:
        return _related(path, folder, blobs, batch, within)
    except sqlite3.DatabaseError as error:
        log.warning("%s: %s: making it anew", path, error)
        drop(path)
        return _related(path, folder, blobs, batch, within)


def drop(path: Path) -> None:
    """Forget the cache."""
    for name in (path.name, f"{path.name}-journal"):
        path.with_name(name).unlink(missing_ok=True)


def _related(path: Path, folder: Path, blobs: Mapping[str, str], batch: Batch, within: timedelta) -> Related:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        _bring_up_to_date(connection, folder, blobs)
        touched = _components(connection, _nodes_of_batch(connection, batch, within))
        history = _load(connection, touched.values())
        elsewhere = _totals(connection)
    for side, counts in count_sides(history).items():
        elsewhere[side].subtract(counts)
    return Related(history, elsewhere)


def _bring_up_to_date(connection: sqlite3.Connection, folder: Path, blobs: Mapping[str, str]) -> None:
    with _transaction(connection):
        known = _known(connection)
        if any(blobs.get(name) != blob for name, blob in known.items()):
            log.info("git has other batches than before: reading all of them anew")
            _clear(connection)
            known = {}
        new = {name: blob for name, blob in blobs.items() if name not in known}
        if new:
            _enter(connection, read_batches(folder / name for name in new))
            connection.executemany("INSERT INTO files VALUES (?, ?)", new.items())


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _known(connection: sqlite3.Connection) -> dict[str, str]:
    if connection.execute("PRAGMA user_version").fetchone() != (_LAYOUT,):
        _clear(connection)
    return dict(connection.execute("SELECT name, blob FROM files"))


def _clear(connection: sqlite3.Connection) -> None:
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        connection.execute(f'DROP TABLE "{name}"')
    for statement in _TABLES.split(";"):
        connection.execute(statement)


def _enter(connection: sqlite3.Connection, new: History) -> None:
    """Add batches: rows, and what they make of components and totals."""
    nodes = {node: row.group for row in _rows(new) for node in _nodes_of_row(row)}
    touched = _components(connection, nodes)
    before = _load(connection, touched.values())
    after = _together(before, new)
    for table, cls, of_batches in (("images", SealedImage, new.images), ("links", SealedLink, new.links)):
        places = ", ".join("?" * (1 + len(dataclasses.fields(cls))))
        rows = ((batch, *_values(row)) for batch, found in of_batches.items() for row in found)
        connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
    _change_totals(connection, count_sides(before), count_sides(after))
    _join(connection, nodes, touched, Components(after.all_images(), after.all_links()))


def _rows(history: History) -> Iterator[SealedImage | SealedLink]:
    yield from history.all_images()
    yield from history.all_links()


def _nodes_of_row(row: SealedImage | SealedLink) -> list[Node]:
    return [(0, row.group), (1, row.sha256), *((0, name) for name in pseudonyms(row.patient, row.slide))]


def _nodes_of_batch(connection: sqlite3.Connection, batch: Batch, within: timedelta) -> set[Node]:
    """All that the batch's images and links may be tied to."""
    origins = [image.origin for image in batch.images] + [link.origin for link in batch.links]
    nodes = {(1, image.sha256) for image in batch.images} | {(1, link.sha256) for link in batch.links}
    for origin in origins:
        named = pseudonyms(origin.patient, origin.slide)
        nodes |= {(0, name) for name in named or _runs_near(connection, origin, within)}
    return nodes


def _runs_near(connection: sqlite3.Connection, origin: Origin, within: timedelta) -> Iterator[str]:
    yield run_name(origin.device, origin.captured_at)
    window = (origin.device, _number(origin.captured_at - within), _number(origin.captured_at + within))
    for table in ("images", "links"):
        query = f'SELECT DISTINCT "group" FROM {table} WHERE "group" GLOB \'{RUN}*\''
        found = connection.execute(f"{query} AND device = ? AND captured_at BETWEEN ? AND ?", window)
        yield from (group for (group,) in found)


def _components(connection: sqlite3.Connection, nodes: Iterable[Node]) -> dict[Node, int]:
    """The components of those nodes that are known."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (kind INTEGER, name TEXT)")
    connection.execute("DELETE FROM wanted")
    connection.executemany("INSERT INTO wanted VALUES (?, ?)", nodes)
    found = connection.execute("SELECT kind, name, component FROM wanted CROSS JOIN nodes USING (kind, name)")
    return {(kind, name): component for kind, name, component in found}


def _load(connection: sqlite3.Connection, components: Iterable[int]) -> History:
    """Every image and link of these components."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS touched (component INTEGER)")
    connection.execute("DELETE FROM touched")
    connection.executemany("INSERT INTO touched VALUES (?)", ((component,) for component in set(components)))
    return History(_select(connection, "images", SealedImage), _select(connection, "links", SealedLink))


def _select(connection: sqlite3.Connection, table: str, cls: type[Record]) -> dict[str, tuple[Record, ...]]:
    # CROSS JOIN: in this order, from the few to the many.
    query = f"""SELECT {table}.* FROM touched CROSS JOIN nodes USING (component)
        CROSS JOIN {table} ON nodes.kind = 0 AND {table}."group" = nodes.name"""
    names = [field.name for field in dataclasses.fields(cls)]
    found: dict[str, list[Record]] = {}
    for batch, *row in connection.execute(query):
        values = dict(zip(names, row, strict=True))
        values["captured_at"] = _EPOCH + values["captured_at"] * _MICROSECOND
        found.setdefault(batch, []).append(cls(**values))
    return {batch: tuple(rows) for batch, rows in found.items()}


def _values(row: SealedImage | SealedLink) -> list[Any]:
    values = (getattr(row, field.name) for field in dataclasses.fields(row))
    return [_number(value) if isinstance(value, datetime) else value for value in values]


def _number(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _together(one: History, other: History) -> History:
    images = {id_: one.images.get(id_, ()) + other.images.get(id_, ()) for id_ in one.images | other.images}
    links = {id_: one.links.get(id_, ()) + other.links.get(id_, ()) for id_ in one.links | other.links}
    return History(images, links)


def _totals(connection: sqlite3.Connection) -> dict[str, Counts]:
    totals: dict[str, Counts] = {side: Counter() for side in SIDES}
    for side, label, images in connection.execute("SELECT side, label, images FROM totals"):
        totals[side][label or None] = images
    return totals


def _change_totals(connection: sqlite3.Connection, before: Mapping[str, Counts], after: Mapping[str, Counts]) -> None:
    change: Counter[tuple[str, str | None]] = Counter()
    for counted, sign in ((before, -1), (after, 1)):
        for side, counts in counted.items():
            change.update({(side, label): sign * images for label, images in counts.items()})
    connection.executemany(
        "INSERT INTO totals VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET images = images + excluded.images",
        [(side, label or "", images) for (side, label), images in change.items() if images],
    )


def _join(
    connection: sqlite3.Connection, nodes: Mapping[Node, str], known: Mapping[Node, int], components: Components
) -> None:
    """Enter new nodes, and make one of the components that turned out to be one."""
    were: dict[str, set[int]] = {}
    for node, group in nodes.items():
        were.setdefault(components.of(group), set()).update({known[node]} if node in known else ())
    (highest,) = connection.execute("SELECT coalesce(max(component), 0) FROM nodes").fetchone()
    become = {}
    for name, numbers in were.items():
        highest += not numbers
        become[name] = _largest(connection, numbers) if numbers else highest
        others = [(become[name], number) for number in numbers - {become[name]}]
        connection.executemany("UPDATE nodes SET component = ? WHERE component = ?", others)
    new = [(*node, become[components.of(group)]) for node, group in nodes.items() if node not in known]
    connection.executemany("INSERT INTO nodes VALUES (?, ?, ?)", new)


def _largest(connection: sqlite3.Connection, numbers: set[int]) -> int:
    """Of components that become one, that with most nodes keeps its number: the others' nodes are rewritten."""
    if len(numbers) == 1:
        return next(iter(numbers))
    query = "SELECT count(*) FROM nodes WHERE component = ?"
    return max(sorted(numbers), key=lambda number: connection.execute(query, (number,)).fetchone()[0])
