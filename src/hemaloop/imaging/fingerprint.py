"""A perceptual hash, for finding an image again after it was encoded or scaled anew.

Source: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1.
"""

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

BITS = 64

_SIDE = 32  # px; the picture that is transformed
_KEPT = 8  # lowest frequencies in each direction


def fingerprint(grey: NDArray[np.uint8]) -> str:
    """The DCT hash of a grey image (H, W).

    Returns:
        16 hexadecimal digits: bit i tells whether the i-th of the 8 x 8 lowest frequencies is above their median.
    """
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_KEPT, :_KEPT].ravel()
    bits = low > np.median(low)
    return np.packbits(bits).tobytes().hex()


def distance(a: str, b: str) -> int:
    """Bits in which two hashes differ, 0 to 64."""
    return (int(a, 16) ^ int(b, 16)).bit_count()


def bands(phash: str, bits: int) -> tuple[tuple[int, int], ...]:
    """(index, value) of `bits` + 1 bands that tile the hash, for look-up by equality.

    Two hashes that differ in at most `bits` bits share at least one band: the pigeonhole principle.

    Source: Manku, Jain, Das Sarma 2007, "Detecting Near-Duplicates for Web Crawling", section 3.
    """
    value, count = int(phash, 16), bits + 1
    edges = [BITS * index // count for index in range(count + 1)]
    return tuple((index, value >> low & (1 << high - low) - 1) for index, (low, high) in enumerate(pairwise(edges)))
