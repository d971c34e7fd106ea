"""Steps that part cells from what is around them."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hemaloop.inference.steps.clusters import cluster
from hemaloop.inference.steps.picture import Picture, grey_to_rgb, whole


@dataclass(frozen=True)
class KmeansMask:
    """Only the most stained of k clusters of colour stay; the rest gets one level. (S3.)

    An image of fewer colours than clusters to be kept stays as it is.
    """

    name: ClassVar[str] = "kmeans_mask"
    reads_colour: ClassVar[bool] = True
    leaves_colour: ClassVar[bool] = True

    clusters: float = 3
    keep: float = 1  # the most stained so many; of 3, 1 keeps nuclei, 2 the red cells and plasma too
    fill: float = 0  # level of what goes

    def __post_init__(self) -> None:
        whole(self.name, "clusters", self.clusters, 2, 8)
        whole(self.name, "keep", self.keep, 1, int(self.clusters) - 1)
        whole(self.name, "fill", self.fill, 0, 255)

    def apply(self, picture: Picture, size_px: int) -> Picture:
        labels, centres = cluster(picture.pixels, int(self.clusters))
        first = len(centres) - int(self.keep)
        if first < 1:
            return picture
        kept = np.where((labels >= first)[:, :, np.newaxis], picture.pixels, np.uint8(self.fill))
        return replace(picture, pixels=kept)


@dataclass(frozen=True)
class KmeansRegions:
    """Each cluster of colour as one level: background 0, then others, cells 255; three times. (S5.)

    An image of one colour is all background.
    """

    name: ClassVar[str] = "kmeans_regions"
    reads_colour: ClassVar[bool] = True
    leaves_colour: ClassVar[bool] = False

    clusters: float = 3

    def __post_init__(self) -> None:
        whole(self.name, "clusters", self.clusters, 2, 8)

    def apply(self, picture: Picture, size_px: int) -> Picture:
        labels, centres = cluster(picture.pixels, int(self.clusters))
        levels = np.linspace(0, 255, max(2, len(centres))).round().astype(np.uint8)
        return replace(picture, pixels=grey_to_rgb(levels[labels]))
