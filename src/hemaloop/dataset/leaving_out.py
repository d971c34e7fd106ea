"""Batches without some of their images: what is left keeps its groups, its sides and what held groups together."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from hemaloop.dataset.batch import Batch, BatchImage, Link, Origin
from hemaloop.dataset.groups import Components
from hemaloop.dataset.records import History, SealedImage, SealedLink

BRIDGE = "held together by what was forgotten"  # the reason of a link in the place of one through a forgotten image

Row = SealedImage | SealedLink


@dataclass(frozen=True)
class Withdrawn:
    """What is to leave the dataset: what is known to be of a patient, by whatever names it."""

    images: frozenset[str] = frozenset()  # SHA-256
    patient: str | None = None
    links: frozenset[tuple[str, datetime]] = frozenset()  # device and time of uploads that were refused as duplicates


@dataclass(frozen=True)
class Change:
    """A batch and what is left of it."""

    old: str
    images: tuple[SealedImage, ...]
    links: tuple[SealedLink, ...]
    gone: tuple[SealedImage, ...]

    @property
    def new(self) -> Batch | None:
        """The batch that takes its place, named by what it holds as every batch is; None: nothing is left."""
        if not self.images and not self.links:
            return None
        return Batch(tuple(map(_as_given, self.images)), tuple(map(_link_as_given, self.links)))


def slides_of(rows: Set[tuple[str | None, str | None]], patient: str) -> frozenset[str]:
    """The slides that are one patient's alone. Args: rows: (slide, patient) of everything that names a slide."""
    theirs = {slide for slide, named in rows if slide is not None and named == patient}
    return frozenset(theirs - {slide for slide, named in rows if named is not None and named != patient})


def leave_out(history: History, withdrawn: Withdrawn) -> tuple[Change, ...]:
    """The batches that hold something of what is withdrawn, and what is left of each; none: it is all gone.

    An image goes that is named, or is of the patient, or of no patient and of a slide that is the patient's alone. So
    does the link of an upload that was refused. Where groups were one through what goes, a link keeps them one: no
    side that was decided may be decided again.
    """
    slides: frozenset[str] = frozenset()
    if withdrawn.patient is not None:
        rows = {(row.slide, row.patient) for row in chain[Row](history.all_images(), history.all_links())}
        slides = slides_of(rows, withdrawn.patient)
    gone = {image.sha256 for image in history.all_images() if _is_theirs(image, withdrawn, slides)}
    images = {id_: tuple(x for x in rows if x.sha256 not in gone) for id_, rows in history.images.items()}
    links = {
        id_: tuple(x for x in rows if not _is_their_link(x, withdrawn, slides)) for id_, rows in history.links.items()
    }
    sound = {id_: tuple(x for x in rows if x.sha256 not in gone) for id_, rows in links.items()}
    changed = sorted(
        {id_ for id_, rows in images.items() if rows != history.images[id_]}
        | {id_ for id_, rows in sound.items() if rows != history.links[id_]}
    )
    orphans = {id_: tuple(x for x in rows if x.sha256 in gone) for id_, rows in links.items()}
    bridges = _bridges(history, History(images, sound), orphans, changed)
    return tuple(_change(id_, history, images.get(id_, ()), (*sound.get(id_, ()), *bridges[id_])) for id_ in changed)


def _is_theirs(image: SealedImage, withdrawn: Withdrawn, slides: Set[str]) -> bool:
    return image.sha256 in withdrawn.images or _names(image, withdrawn, slides)


def _is_their_link(link: SealedLink, withdrawn: Withdrawn, slides: Set[str]) -> bool:
    return (link.device, link.captured_at) in withdrawn.links or _names(link, withdrawn, slides)


def _names(row: Row, withdrawn: Withdrawn, slides: Set[str]) -> bool:
    if row.patient is not None:
        return row.patient == withdrawn.patient
    return row.slide is not None and row.slide in slides


def _bridges(
    history: History, left: History, orphans: Mapping[str, tuple[SealedLink, ...]], changed: Sequence[str]
) -> dict[str, list[SealedLink]]:
    """For each changed batch, links that keep together what was together; they fall with a component's last image.

    Args:
        orphans: links to images that go, by batch: they hold their groups to another image of the component instead.
    """
    before = Components(history.all_images(), history.all_links())
    after = Components(left.all_images(), left.all_links())
    anchors: dict[str, SealedImage] = {}
    for image in sorted(left.all_images(), key=lambda image: image.sha256):
        anchors.setdefault(before.of(image.group), image)
    bridges: dict[str, list[SealedLink]] = {
        id_: [_tie(link, anchors[of]) for link in orphans.get(id_, ()) if (of := before.of(link.group)) in anchors]
        for id_ in changed
    }
    places = _places(history, changed, before)
    held = {after.of(anchor.group) for anchor in anchors.values()}
    for row in chain[Row](left.all_images(), left.all_links()):
        component, piece = before.of(row.group), after.of(row.group)
        if component in places and component in anchors and piece not in held:
            held.add(piece)
            bridges[places[component]].append(_tie(row, anchors[component]))
    return bridges


def _places(history: History, changed: Sequence[str], before: Components) -> dict[str, str]:
    """The changed batch that links of a component are added to: the first one that had part in it."""
    places: dict[str, str] = {}
    for batch in changed:
        for row in chain[Row](history.images.get(batch, ()), history.links.get(batch, ())):
            places.setdefault(before.of(row.group), batch)
    return places


def _tie(row: Row, anchor: SealedImage) -> SealedLink:
    """A link from the group of `row`, seen where `row` was, to the anchor's."""
    return SealedLink(row.group, anchor.sha256, BRIDGE, row.device, row.slide, row.patient, row.captured_at)


def _change(batch: str, history: History, images: tuple[SealedImage, ...], links: tuple[SealedLink, ...]) -> Change:
    left = {image.sha256 for image in images}
    gone = tuple(image for image in history.images.get(batch, ()) if image.sha256 not in left)
    return Change(batch, images, tuple(dict.fromkeys(links)), gone)


def _as_given(image: SealedImage) -> BatchImage:
    origin = Origin(image.device, image.captured_at, image.slide, image.patient)
    return BatchImage(
        image.sha256, image.suffix, image.upload, origin, image.label, image.labelled_by, image.stain, image.um_per_px
    )


def _link_as_given(link: SealedLink) -> Link:
    origin = Origin(link.device, link.captured_at.astimezone(UTC), link.slide, link.patient)
    return Link(origin, link.sha256, link.reason)
