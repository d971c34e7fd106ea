"""A perceptual hash, for finding an image again after it was encoded or scaled anew.

Source: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1.
"""

from itertools import chain, combinations

import cv2
import numpy as np
from numpy.typing import NDArray

BITS = 64
BANDS = 4

_SIDE = 32  # px; the picture that is transformed
_BAND_BITS = BITS // BANDS
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


def bands(phash: str) -> tuple[int, ...]:
    """The hash as `BANDS` numbers of 16 bits, for look-up.

    Two hashes that differ in at most b bits have a band in which they differ in at most b // BANDS: the pigeonhole
    principle.

    Source: Norouzi, Punjani, Fleet 2012, "Fast Search in Hamming Space with Multi-Index Hashing", section 2.
    """
    value = int(phash, 16)
    return tuple(value >> _BAND_BITS * band & (1 << _BAND_BITS) - 1 for band in range(BANDS))


def near(value: int, bits: int) -> tuple[int, ...]:
    """Every value of a band that differs from this one in at most `bits` bits."""
    flips = chain.from_iterable(combinations(range(_BAND_BITS), count) for count in range(bits + 1))
    return tuple(value ^ sum(1 << bit for bit in flip) for flip in flips)
