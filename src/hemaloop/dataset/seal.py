"""Seal a batch: give its images their groups and sides, next to everything that was sealed before."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from itertools import chain

from hemaloop.dataset.batch import Batch, BatchImage, Origin
from hemaloop.dataset.groups import Assignment, Components, assign_groups
from hemaloop.dataset.records import EXCLUDED, History, SealedImage, SealedLink
from hemaloop.dataset.split import (
    Counts,
    SplitParams,
    component_sides,
    decide_sides,
    effective_side,
    recorded_sides,
)
from hemaloop.errors import DataError


@dataclass(frozen=True)
class Sealed:
    images: tuple[SealedImage, ...]  # in order of sha256
    links: tuple[SealedLink, ...]
    excluded: tuple[str, ...]  # groups that this batch shows to be one with a group of a stricter side


def seal(batch: Batch, history: History, params: SplitParams, elsewhere: Mapping[str, Counts] | None = None) -> Sealed:
    """Decide groups and sides of a batch. The same batch on the same history gives the same answer.

    Args:
        history: all that was sealed before; or what has to do with this batch, with the rest counted in `elsewhere`.
        elsewhere: of each side, images by label that `history` leaves out.

    Raises:
        DataError: an image is in the history already, or a group is on two sides there.
    """
    _refuse_doubles(batch, history)
    images = sorted(batch.images, key=lambda image: image.sha256)
    links = sorted(batch.links, key=lambda link: link.line)
    within = timedelta(minutes=params.neighbour_minutes)
    origins = [image.origin for image in images] + [link.origin for link in links]
    assigned = assign_groups(origins, history.all_images(), history.all_links(), within)
    sealed_links = [
        _link(link.origin, found.group, link.sha256, link.reason)
        for link, found in zip(links, assigned[len(images) :], strict=True)
    ]
    witnesses = [image.sha256 for image in images] + [link.sha256 for link in links]
    for origin, found, sha256 in zip(origins, assigned, witnesses, strict=True):
        sealed_links += [_link(origin, run, sha256, "it lies between two runs") for run in found.bridged]
    return _decide(images, assigned[: len(images)], tuple(sealed_links), history, params, elsewhere or {})


def count_sides(history: History) -> dict[str, Counts]:
    """Images by label of each side; what is excluded is left out. Raises: DataError: a group is on two sides."""
    components = Components(history.all_images(), history.all_links())
    return _present(history, components, component_sides(recorded_sides(history.all_images()), components), {})


def _refuse_doubles(batch: Batch, history: History) -> None:
    new = {image.sha256 for image in batch.images}
    for id_, images in history.images.items():
        for image in images:
            if image.sha256 in new:
                raise DataError(f"batch {batch.id}: image {image.sha256} is in batch {id_} already: a duplicate")


def _decide(
    images: list[BatchImage],
    assigned: list[Assignment],
    links: tuple[SealedLink, ...],
    history: History,
    params: SplitParams,
    elsewhere: Mapping[str, Counts],
) -> Sealed:
    """The sides of the groups, once all groups and links are known."""
    recorded = recorded_sides(history.all_images())
    unsided = [_image(image, found.group, "") for image, found in zip(images, assigned, strict=True)]
    components = Components(chain(history.all_images(), unsided), chain(history.all_links(), links))
    sides = component_sides(recorded, components)
    new: dict[str, Counts] = {}
    for image in unsided:
        component = components.of(image.group)
        if component not in sides:
            new.setdefault(component, Counter())[image.label] += 1
    sides |= decide_sides(new, _present(history, components, sides, elsewhere), params)
    sided = tuple(
        _image(image, found.group, recorded.get(found.group, sides[components.of(found.group)]))
        for image, found in zip(images, assigned, strict=True)
    )
    return Sealed(sided, links, _newly_excluded(history, recorded, components, sides))


def _present(
    history: History, components: Components, sides: dict[str, str], elsewhere: Mapping[str, Counts]
) -> dict[str, Counts]:
    """Images by label of each side, those of `elsewhere` too; what is excluded counts for none."""
    present = {side: Counter(counts) for side, counts in elsewhere.items()}
    for image in history.all_images():
        side = effective_side(image, components, sides)
        present.setdefault(side, Counter())[image.label] += 1
    present.pop(EXCLUDED, None)
    return present


def _newly_excluded(
    history: History, recorded: dict[str, str], components: Components, sides: dict[str, str]
) -> tuple[str, ...]:
    before = Components(history.all_images(), history.all_links())
    were = component_sides(recorded, before)
    return tuple(
        sorted(
            group
            for group, side in recorded.items()
            if were[before.of(group)] == side and sides[components.of(group)] != side
        )
    )


def _image(image: BatchImage, group: str, side: str) -> SealedImage:
    origin = image.origin
    return SealedImage(
        sha256=image.sha256, suffix=image.suffix, label=image.label, labelled_by=image.labelled_by, group=group,
        side=side, device=origin.device, slide=origin.slide, patient=origin.patient, stain=image.stain,
        um_per_px=image.um_per_px, captured_at=origin.captured_at.astimezone(UTC), upload=image.upload,
    )  # fmt: skip


def _link(origin: Origin, group: str, sha256: str, reason: str) -> SealedLink:
    time = origin.captured_at.astimezone(UTC)
    return SealedLink(group, sha256, reason, origin.device, origin.slide, origin.patient, time)
