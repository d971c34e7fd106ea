"""Which side an image is on: as the papers drew it, or honestly. Pure rules over the images of class folders.

`paper`: images are drawn one by one, duplicates and neighbours and all, with the paper's shares.
`honest`: whole blocks of contiguous file numbers are held out. No patient or slide ids are known of these images, so a
block stands for them: neighbouring numbers look like one slide. Exact duplicates are removed; what looks like an image
of a held-out block, or stands right beside one, leaves the training side.
`fold-N`: honest, with the N-th block of ten held out, so that every image is a test image once.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from hemaloop.config import check
from hemaloop.dataset.records import EXCLUDED, TEST, TRAIN, VALIDATION
from hemaloop.errors import ConfigError, DataError
from papers.images import FolderImage, near_pairs

PAPER, HONEST, FOLD = "paper", "honest", "fold-"
# Which blocks are test blocks must stay so for ever, whatever else is tried: this seed is no parameter.
FROZEN_SEED = 20_261_121
# What they were the first time, for each set of images: SHA-256 of all images -> of the tested ones.
FROZEN = {
    # all-taleqani
    "ccb715cc84b0a4762a74c3ff3fd14185bc9386e4aa8cf3361cc063cc1ca798cb": (
        "09b5d47a289c7bf3e3093429a113eaf19393c3f2bd60bb446ef96e36765ad42b"
    ),
    # pbc-barcelona
    "202b6f52e7a77a4293111f754cfadece8612e043040b2163626164f16316354f": (
        "79ecf516aa0ebe31ff9b3dc3ea1f0563d6ab8e8042343256282b08b90eae37fd"
    ),
}
BLOCKS = 10
RUN_IMAGES = 30  # images that are one group: the whole ALL set has 3,256 of 89 patients, 37 a patient
GAP_IMAGES = 20  # on either side of a test block, left out


@dataclass(frozen=True)
class Split:
    """How a paper drew its sides. Without a validation side of its own, its test images chose its epoch."""

    train: float
    validation: float
    test: float
    balanced: bool = False  # whether each class was drawn on its own

    def __post_init__(self) -> None:
        total = self.train + self.validation + self.test
        check(abs(total - 1) < 1e-6, f"train, validation and test: wanted a sum of 1, got {total:g}")
        check(min(self.train, self.validation, self.test) >= 0, "train, validation, test: wanted 0 or more")


@dataclass(frozen=True)
class Placed:
    """An image, its side and its group."""

    image: FolderImage
    side: str  # train, validation, test or excluded
    group: str


def check_protocol(protocol: str) -> None:
    """Raises: ConfigError: there is no such protocol."""
    number = protocol.removeprefix(FOLD)
    fold = protocol.startswith(FOLD) and number.isdecimal() and int(number) < BLOCKS
    if protocol not in (PAPER, HONEST) and not fold:
        raise ConfigError(f"protocol: wanted {PAPER}, {HONEST} or {FOLD}0 to {FOLD}{BLOCKS - 1}, got {protocol!r}")


def place_at_random(images: Sequence[FolderImage], split: Split, seed: int) -> tuple[Placed, ...]:
    """As the papers do: every image for itself.

    Where the paper has no validation side, the test images are on both: so such papers choose their epoch.
    """
    rng = np.random.default_rng(seed)
    in_order = sorted(images, key=lambda image: (image.folder if split.balanced else "", image.path))
    drawn = groupby(in_order, key=lambda image: image.folder if split.balanced else "")
    placed = [each for _, some in drawn for each in _draw(list(some), split, rng)]
    if split.validation == 0:
        placed += [replace(each, side=VALIDATION) for each in placed if each.side == TEST]
    return tuple(placed)


def _draw(images: Sequence[FolderImage], split: Split, rng: np.random.Generator) -> list[Placed]:
    count = len(images)
    test, validation = round(split.test * count), round(split.validation * count)
    sides = np.array([TEST] * test + [VALIDATION] * validation + [TRAIN] * (count - test - validation))
    drawn = sides[rng.permutation(count)]
    return [Placed(image, str(side), image.path) for image, side in zip(images, drawn, strict=True)]


def held_out_blocks(protocol: str) -> tuple[int, ...]:
    """The blocks that are held out: a fold's own, or the two frozen ones, which are not beside each other."""
    if protocol.startswith(FOLD):
        return (int(protocol.removeprefix(FOLD)),)
    apart = [(low, high) for low in range(BLOCKS) for high in range(low + 2, BLOCKS)]
    return apart[int(np.random.default_rng(FROZEN_SEED).integers(len(apart)))]


def validation_block(held: Sequence[int]) -> int:
    """The first block that is neither a test block nor beside one."""
    near = {block + step for block in held for step in (-1, 0, 1)}
    return min(set(range(BLOCKS)) - near)


def place_by_blocks(
    images: Sequence[FolderImage], held: Sequence[int], common_numbers: bool, near_bits: int
) -> tuple[Placed, ...]:
    """Whole blocks of numbers held out, one block for validation, the rest to train on.

    Args:
        held: the test blocks, 0 to BLOCKS - 1.
        common_numbers: whether numbers are one sequence over all folders, or each folder has its own.
        near_bits: of 64, within which two images look alike.
    """
    unique = without_duplicates(images)
    sequences: dict[str, list[FolderImage]] = {}
    for image in sorted(unique, key=lambda image: (image.number, image.path)):
        sequences.setdefault("" if common_numbers else image.folder, []).append(image)
    placed = [each for name, some in sorted(sequences.items()) for each in _place_sequence(name, some, held)]
    return _join_lookalikes(placed, near_bits)


def without_duplicates(images: Iterable[FolderImage]) -> tuple[FolderImage, ...]:
    """The first of byte-identical images; those that lie in two folders are left out altogether."""
    by_content: dict[str, list[FolderImage]] = {}
    for image in images:
        by_content.setdefault(image.sha256, []).append(image)
    return tuple(same[0] for same in by_content.values() if len({image.folder for image in same}) == 1)


def _place_sequence(name: str, images: Sequence[FolderImage], held: Sequence[int]) -> list[Placed]:
    """Sides and groups along one sequence of numbers; a group is a run of neighbours inside one block."""
    blocks = np.arange(len(images)) * BLOCKS // max(len(images), 1)
    tested = np.isin(blocks, held)
    gap = np.convolve(tested, np.ones(2 * GAP_IMAGES + 1), mode="same") > 0 if len(images) > 2 * GAP_IMAGES else tested
    validation = validation_block(held)
    placed = []
    for block in range(BLOCKS):
        (members,) = np.nonzero(blocks == block)
        runs = max(1, round(len(members) / RUN_IMAGES))
        for place, index in enumerate(members):
            side = TEST if block in held else EXCLUDED if gap[index] else VALIDATION if block == validation else TRAIN
            placed.append(Placed(images[int(index)], side, f"{name}:{block}:{place * runs // len(members)}"))
    return placed


def _join_lookalikes(placed: Sequence[Placed], near_bits: int) -> tuple[Placed, ...]:
    """Groups of one side whose images look alike become one; of two sides, the image that is not tested leaves."""
    sides, groups = [each.side for each in placed], {each.group: each.group for each in placed}
    pairs = near_pairs([each.image for each in placed], near_bits)
    for kept in (TEST, VALIDATION):
        for one, other in pairs:
            for stays, leaves in ((one, other), (other, one)):
                if sides[stays] == kept and sides[leaves] not in (TEST, kept):
                    sides[leaves] = EXCLUDED
    for one, other in pairs:
        if sides[one] == sides[other] != EXCLUDED:  # or an excluded image would join groups of two sides
            first, second = sorted((_root(groups, placed[one].group), _root(groups, placed[other].group)))
            groups[second] = first
    return tuple(
        replace(each, side=side, group=_root(groups, each.group)) for each, side in zip(placed, sides, strict=True)
    )


def _root(groups: dict[str, str], group: str) -> str:
    while groups[group] != group:
        group = groups[group]
    return group


def thin(placed: Sequence[Placed], images: int) -> tuple[Placed, ...]:
    """At most `images` of each folder on the training side, half as many on the others, evenly spread."""
    kept: list[Placed] = []
    in_order = sorted(placed, key=lambda each: (each.side, each.image.folder, each.image.number, each.image.path))
    for (side, _), some in groupby(in_order, key=lambda each: (each.side, each.image.folder)):
        members = list(some)
        most = images if side == TRAIN else max(1, images // 2)
        chosen = np.unique(np.linspace(0, len(members) - 1, min(most, len(members))).round().astype(int))
        kept += [members[index] for index in chosen]
    return tuple(kept)


def digest_of_tested(placed: Iterable[Placed]) -> str:
    """One SHA-256 for which images are tested: it must never change for the same images."""
    lines = sorted(f"{each.image.sha256} {each.image.path}" for each in placed if each.side == TEST)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def check_frozen(images: str, tested: str) -> None:
    """Raises: DataError: the honest protocol tests other images of a known set than it always did."""
    if FROZEN.get(images, tested) != tested:
        raise DataError(
            "the honest protocol would test other images than before, so that no figure could be compared with "
            f"earlier ones: undo what changed in papers/protocols.py (test images {tested[:12]}, wanted "
            f"{FROZEN[images][:12]})"
        )
