"""Two perceptual hashes: one to find an image again after it was encoded or scaled anew, one to make sure of it.

Both are signs of the same discrete cosine transform; the second takes the frequencies that the first leaves out, so
that pictures which are alike by chance in the one differ in the other.

Source: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1.
"""

from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

BITS = 64
FINE_BITS = 192
BANDS = 3

_SIDE = 32  # px; the picture that is transformed
_KEPT, _FINE_KEPT = 8, 16  # lowest frequencies in each direction

# Which bit is in which band. The lowest frequencies are alike in many smears (a cell in the middle, an even ground):
# dealt out in turns, none of the bands has most of them, and each tells images apart about equally well.
_BY_FREQUENCY = sorted(range(BITS), key=lambda bit: (bit // _KEPT + bit % _KEPT, bit))
_TURNS = (*range(BANDS), *reversed(range(BANDS)))
_BAND_BITS = tuple(
    tuple(bit for place, bit in enumerate(_BY_FREQUENCY) if _TURNS[place % len(_TURNS)] == band)
    for band in range(BANDS)
)
_LARGER_FIRST = (1, 0, 2)  # which bands get the larger radius: the narrower, and of these the less skewed, costs less


def fingerprints(grey: NDArray[np.uint8]) -> tuple[str, str]:
    """The two DCT hashes of a grey image (H, W).

    Returns:
        16 hexadecimal digits: bit i tells whether the i-th of the 8 x 8 lowest frequencies is above their median;
        48 hexadecimal digits: the same of the other 192 of the 16 x 16 lowest.
    """
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    found = cv2.dct(small)[:_FINE_KEPT, :_FINE_KEPT]
    fine = np.concatenate((found[:_KEPT, _KEPT:].ravel(), found[_KEPT:].ravel()))
    return _signs(found[:_KEPT, :_KEPT].ravel()), _signs(fine)


def fingerprint(grey: NDArray[np.uint8]) -> str:
    """The first of the two hashes alone."""
    return fingerprints(grey)[0]


def distance(a: str, b: str) -> int:
    """Bits in which two hashes of equal length differ."""
    return (int(a, 16) ^ int(b, 16)).bit_count()


def numbers(hashes: list[str]) -> NDArray[np.uint64]:
    """Hashes of 16 digits as numbers (N,), for the functions below."""
    return np.array([int(phash, 16) for phash in hashes], dtype=np.uint64)


def distances(one: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Bits in which hashes differ, 0 to 64; arrays that broadcast."""
    apart: NDArray[np.uint8] = np.bitwise_count(one ^ others)
    return apart


def bands(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Hashes (N,) cut in `BANDS` numbers of 21 or 22 bits (N, BANDS), for look-up."""
    cut = np.zeros((len(hashes), BANDS), np.int64)
    for band, bits in enumerate(_BAND_BITS):
        for bit in bits:
            cut[:, band] = cut[:, band] << 1 | (hashes >> np.uint64(BITS - 1 - bit) & np.uint64(1)).astype(np.int64)
    return cut


def flips(bits: int) -> tuple[tuple[int, ...], ...]:
    """For each band, what to flip in it (by XOR): two hashes within `bits` agree in a band after one of these.

    With radii r of the bands such that the sum of all r + 1 is bits + 1, not every band can differ in more than its
    r: the generalised pigeonhole principle. Where r is -1 the band need not be looked at.

    Source: Norouzi, Punjani, Fleet 2012, "Fast Search in Hamming Space with Multi-Index Hashing", section 2; Qin et
    al. 2018, "GPH: Similarity Search in Hamming Space", section 3.
    """
    each, left = divmod(bits + 1, BANDS)
    larger = _LARGER_FIRST[:left]
    return tuple(_masks(len(chosen), each - 1 + (band in larger)) for band, chosen in enumerate(_BAND_BITS))


def _masks(width: int, radius: int) -> tuple[int, ...]:
    """All numbers of `width` bits with at most `radius` of them set."""
    return tuple(sum(1 << bit for bit in chosen) for r in range(radius + 1) for chosen in combinations(range(width), r))


def _signs(values: NDArray[np.float32]) -> str:
    middle = len(values) // 2  # of an even number
    below, above = np.partition(values, (middle - 1, middle))[middle - 1 : middle + 1]
    median = (below + above) / np.float32(2)  # np.median finds the same, and takes several times as long
    return np.packbits(values > median).tobytes().hex()
