"""What of a blood film is background, what is stained, and what is a nucleus: k-means in CIELAB.

Romanowsky stains colour chromatin purple, whatever else the laboratory does: in CIELAB red-green a* is high and
blue-yellow b* is low, so that a* - b* of nuclei stands far above that of background and red cells, and they are dark.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.decode import Image

Mask = NDArray[np.uint8]  # (H, W), 0 or 1
Lab = NDArray[np.float32]  # (..., 3): L* 0 to 100, a*, b*

_CLUSTERS = 4  # background, red cells, what is between (pallor, cytoplasm), nuclei
_SAMPLES = 3000
_PUREST = 98  # percentile of purpleness; what lies above counts again, since nuclei may be a hundredth of an image
_PUREST_SHARE = 0.1
_ROUNDS = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 15, 0.3)
_LEVELS = np.arange(256, dtype=np.float32)[:, None]
_DECODED = _LEVELS * np.array([100 / 255, 1, 1], np.float32) - np.array([0, 128, 128], np.float32)  # OpenCV's code
_MORE_PURPLE = 20.0  # of nuclei than of the background, in a* - b*
_MORE_THAN_NEXT = 8.0  # than the next purple cluster
_DARKER = 10.0  # L* of nuclei below the background's


@dataclass(frozen=True)
class Stained:
    coded: Image  # (H, W, 3) CIELAB as OpenCV codes it in uint8
    lab: Lab  # (H, W, 3) the same in its own units
    centres: Lab  # (4, 3), background first, then by growing purpleness
    nearest: Mask  # (H, W) which centre
    nuclei: Mask  # 1 on nuclei (and on platelets, which are as purple); all 0 where nothing is like a nucleus


def separate(image: Image) -> Stained:
    """Cluster the colours of an RGB uint8 (H, W, 3) image; the same image gives the same clusters."""
    coded: Image = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab: Lab = cv2.LUT(coded, _DECODED[None])
    centres = _ordered(_cluster(_samples(lab)))
    nearest = _nearest(lab, centres)
    nuclei = nearest == _CLUSTERS - 1 if _is_nuclear(centres) else np.zeros(nearest.shape, bool)
    return Stained(coded, lab, centres, nearest, nuclei.astype(np.uint8))


def purpleness(lab: Lab) -> NDArray[np.float32]:
    """a* - b*: about 0 for background, 0 to 40 for red cells, 40 to 110 for nuclei."""
    purple: NDArray[np.float32] = lab[..., 1] - lab[..., 2]
    return purple


def _samples(lab: Lab) -> Lab:
    flat = lab.reshape(-1, 3)
    some = flat[:: max(1, len(flat) // _SAMPLES)]
    purple = purpleness(some)
    purest = some[purple >= np.percentile(purple, _PUREST)]
    again = max(1, round(_PUREST_SHARE * len(some) / len(purest)))
    return np.concatenate([some, *[purest] * again])


def _cluster(samples: Lab) -> Lab:
    """k-means from a start that the samples alone decide: equal parts by lightness, the purest on their own."""
    purple = purpleness(samples)
    start = np.empty(len(samples), np.int32)
    start[np.argsort(-samples[:, 0], kind="stable")] = np.arange(len(samples)) * (_CLUSTERS - 1) // len(samples)
    start[purple >= np.percentile(purple, 100 - 100 * _PUREST_SHARE)] = _CLUSTERS - 1
    _, _, centres = cv2.kmeans(samples, _CLUSTERS, start[:, None], _ROUNDS, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    found: Lab = centres
    return found


def _ordered(centres: Lab) -> Lab:
    """The lightest is the background."""
    lightest = int(np.argmax(centres[:, 0]))
    rest = np.delete(centres, lightest, axis=0)
    return np.concatenate([centres[lightest : lightest + 1], rest[np.argsort(purpleness(rest), kind="stable")]])


def _nearest(lab: Lab, centres: Lab) -> Mask:
    flat = lab.reshape(-1, 3)
    nearest = np.zeros(len(flat), np.uint8)
    least = np.full(len(flat), np.inf, np.float32)
    for number, centre in enumerate(centres):  # numpy's argmin over so short an axis takes ten times as long
        distance = np.float32(np.square(centre).sum()) - 2 * (flat @ centre)
        nearest[distance < least] = number
        np.minimum(least, distance, out=least)
    return nearest.reshape(lab.shape[:2])


def _is_nuclear(centres: Lab) -> bool:
    purple = purpleness(centres)
    darker = centres[0, 0] - centres[-1, 0]
    return bool(
        purple[-1] - purple[0] > _MORE_PURPLE and purple[-1] - purple[-2] > _MORE_THAN_NEXT and darker > _DARKER
    )
