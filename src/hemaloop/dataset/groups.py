"""Groups: images that must stay on one side of a split.

An image's group is its patient, else its slide, else the run it belongs to: the images of one device that follow each
other closely, among those whose slide is not known. Two groups that turn out to hold the same thing are one component.
"""

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

from hemaloop.dataset.batch import Origin
from hemaloop.dataset.records import SealedImage, SealedLink

RUN = "run:"


@dataclass(frozen=True)
class Assignment:
    """The group of an image, and the other runs that it lies between: they are one with its group."""

    group: str
    bridged: tuple[str, ...] = ()


class Components:
    """Which groups are one. Groups and images are nodes; whatever connects two of them makes them one component."""

    def __init__(self, images: Iterable[SealedImage], links: Iterable[SealedLink]) -> None:
        self._parents: dict[tuple[int, str], tuple[int, str]] = {}
        for image in images:
            self._join(_group(image.group), _image(image.sha256))
            # A slide seen with a patient once is that patient's, also where the patient was left out.
            for name in pseudonyms(image.patient, image.slide):
                self._join(_group(image.group), _group(name))
        for link in links:
            self._join(_group(link.group), _image(link.sha256))
            for name in pseudonyms(link.patient, link.slide):
                self._join(_group(link.group), _group(name))

    def of(self, group: str) -> str:
        """The component's name: the first of its groups in order of the alphabet."""
        return self._root(_group(group))[1]

    def _join(self, one: tuple[int, str], other: tuple[int, str]) -> None:
        first, second = sorted((self._root(one), self._root(other)))
        self._parents[second] = first

    def _root(self, node: tuple[int, str]) -> tuple[int, str]:
        path = []
        while (parent := self._parents.get(node, node)) != node:
            path.append(node)
            node = parent
        for passed in path:
            self._parents[passed] = node
        return node


def assign_groups(
    origins: Sequence[Origin], images: Iterable[SealedImage], links: Iterable[SealedLink], within: timedelta
) -> list[Assignment]:
    """The group of each origin, in the order given, beside what is sealed already.

    Two images of one device without slide and patient, at most `within` apart, are always in one component, in
    whatever order they arrive.
    """
    runs = _Runs(within)
    for sealed in chain[SealedImage | SealedLink](images, links):
        if sealed.group.startswith(RUN):
            runs.add(sealed.device, sealed.captured_at, sealed.group)
    order = sorted(range(len(origins)), key=lambda index: origins[index].captured_at)
    found = {index: _assign(origins[index], runs) for index in order}
    return [found[index] for index in range(len(origins))]


def _assign(origin: Origin, runs: "_Runs") -> Assignment:
    known = pseudonyms(origin.patient, origin.slide)
    return Assignment(known[0]) if known else runs.join(origin.device, origin.captured_at)


class _Runs:
    """For each device the times of its images, in order, and the run of each."""

    def __init__(self, within: timedelta) -> None:
        self._within = within
        self._points: dict[str, list[tuple[datetime, str]]] = {}

    def add(self, device: str, time: datetime, group: str) -> None:
        bisect.insort(self._points.setdefault(device, []), (time, group))

    def join(self, device: str, time: datetime) -> Assignment:
        points = self._points.get(device, [])
        start = bisect.bisect_left(points, time - self._within, key=lambda point: point[0])
        end = bisect.bisect_right(points, time + self._within, key=lambda point: point[0])
        near = sorted({group for _, group in points[start:end]})
        group = near[0] if near else run_name(device, time)
        self.add(device, time, group)
        return Assignment(group, tuple(near[1:]))


def run_name(device: str, time: datetime) -> str:
    """The group of images that begin a run."""
    return f"{RUN}{device}:{time.astimezone(UTC).isoformat()}"


def pseudonyms(patient: str | None, slide: str | None) -> list[str]:
    """The groups that what is known of an image names, the patient's first."""
    named = (("patient", patient), ("slide", slide))
    return [f"{kind}:{name}" for kind, name in named if name is not None]


def _group(name: str) -> tuple[int, str]:
    return (0, name)


def _image(sha256: str) -> tuple[int, str]:
    return (1, sha256)
