"""Neither duplicates, nor lookalikes, nor neighbours of a test image are ever trained on; and test images stay so."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.dataset.records import EXCLUDED, TEST, TRAIN, VALIDATION
from hemaloop.errors import ConfigError, DataError
from papers.images import FolderImage, digest_of, file_number, near_pairs, read_images
from papers.protocols import (
    BLOCKS,
    FROZEN,
    GAP_IMAGES,
    Placed,
    Split,
    check_frozen,
    check_protocol,
    digest_of_tested,
    held_out_blocks,
    place_at_random,
    place_by_blocks,
    thin,
)

NEAR_BITS = 6
FINE = "0" * 48


def an_image(folder: str, number: int, content: str = "", look: int | None = None) -> FolderImage:
    """`look`: two images of the same look alike; None: like no other."""
    name = f"{folder}/x-{number:04d}.jpg"
    sha256 = hashlib.sha256((content or name).encode()).hexdigest()
    phash = hashlib.sha256(f"look {look}".encode() if look is not None else name.encode()).hexdigest()[:16]
    fine = FINE if look is not None else hashlib.sha512(name.encode()).hexdigest()[:48]
    return FolderImage(name, number, sha256, phash, fine)


@st.composite
def data_sets(draw: st.DrawFn) -> tuple[FolderImage, ...]:
    """Two folders; here and there an image that was saved twice, or that looks like another one."""
    images = []
    for folder in ("A", "B"):
        count = draw(st.integers(60, 160))
        twins = draw(st.dictionaries(st.integers(0, count - 1), st.integers(0, 3), max_size=8))
        looks = draw(st.dictionaries(st.integers(0, count - 1), st.integers(0, 3), max_size=12))
        for number in range(count):
            content = f"twin {twins[number]}" if number in twins else ""
            images.append(an_image(folder, number, content, looks.get(number)))
    return tuple(images)


def sides(placed: tuple[Placed, ...]) -> dict[str, str]:
    return {each.image.path: each.side for each in placed}


@settings(max_examples=25, deadline=None)
@given(images=data_sets(), fold=st.sampled_from(["honest", "fold-0", "fold-5", "fold-9"]), common=st.booleans())
def test_what_is_tested_was_never_seen(images: tuple[FolderImage, ...], fold: str, common: bool) -> None:
    placed = place_by_blocks(images, held_out_blocks(fold), common, NEAR_BITS)
    contents = Counter(each.image.sha256 for each in placed)
    assert set(contents.values()) == {1}
    where = [each.side for each in placed]
    for one, other in near_pairs([each.image for each in placed], NEAR_BITS):
        assert where[one] == where[other] or EXCLUDED in (where[one], where[other])
    of_group: dict[str, set[str]] = {}
    for each in placed:
        of_group.setdefault(each.group, set()).add(each.side)
    assert all(len(found - {EXCLUDED}) <= 1 for found in of_group.values())


@settings(max_examples=15, deadline=None)
@given(count=st.integers(60, 300), fold=st.integers(0, BLOCKS - 1))
def test_neighbours_of_a_test_block_are_left_out(count: int, fold: int) -> None:
    images = tuple(an_image("A", number) for number in range(count))
    side = sides(place_by_blocks(images, (fold,), False, NEAR_BITS))
    tested = [image.number for image in images if side[image.path] == TEST]
    assert tested == list(range(tested[0], tested[-1] + 1))
    for image in images:
        if side[image.path] in (TRAIN, VALIDATION):
            assert min(abs(image.number - number) for number in tested) > GAP_IMAGES


def test_folds_test_every_image_once() -> None:
    images = tuple(an_image(folder, number) for folder in "AB" for number in range(90))
    tested = Counter(
        each.image.path
        for fold in range(BLOCKS)
        for each in place_by_blocks(images, held_out_blocks(f"fold-{fold}"), False, NEAR_BITS)
        if each.side == TEST
    )
    assert tested == Counter(image.path for image in images)


def test_thinning_moves_no_image_to_another_side() -> None:
    images = tuple(an_image(folder, number) for folder in "AB" for number in range(200))
    placed = place_by_blocks(images, held_out_blocks("honest"), False, NEAR_BITS)
    few = thin(placed, 10)
    assert sides(few).items() <= sides(placed).items()
    assert Counter(each.side for each in few if each.side != EXCLUDED) == {TRAIN: 20, VALIDATION: 10, TEST: 10}


@pytest.mark.parametrize("balanced", [False, True])
def test_a_paper_s_shares_are_kept_duplicates_and_all(balanced: bool) -> None:
    images = tuple(an_image(folder, number, "same") for folder, n in (("A", 100), ("B", 300)) for number in range(n))
    placed = place_at_random(images, Split(0.7, 0.15, 0.15, balanced), seed=7)
    assert Counter(each.side for each in placed) == {TRAIN: 280, VALIDATION: 60, TEST: 60}
    tested = Counter(each.image.folder for each in placed if each.side == TEST)
    assert (tested == {"A": 15, "B": 45}) == balanced
    assert placed == place_at_random(tuple(reversed(images)), Split(0.7, 0.15, 0.15, balanced), seed=7)


def test_without_a_validation_side_the_test_images_choose_the_epoch() -> None:
    images = tuple(an_image("A", number) for number in range(100))
    placed = place_at_random(images, Split(0.8, 0.0, 0.2), seed=7)
    chosen, tested = ({each.image.path for each in placed if each.side == side} for side in (VALIDATION, TEST))
    assert (len(tested), chosen) == (20, tested)


def test_the_frozen_blocks_are_frozen() -> None:
    assert held_out_blocks("honest") == (1, 8)


@pytest.mark.parametrize("name", ["random", "fold-10", "fold-x", ""])
def test_another_protocol_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="fold-0 to fold-9"):
        check_protocol(name)


def test_shares_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted a sum of 1"):
        Split(0.8, 0.1, 0.2)


@pytest.mark.parametrize(("name", "number"), [("WBC-Malignant-Pre-017.jpg", 17), ("BA_580.jpg", 580), ("x.jpg", 0)])
def test_a_file_s_number_is_its_last_digits(name: str, number: int) -> None:
    assert file_number(name) == number


@pytest.mark.slow
@pytest.mark.images
def test_the_test_images_of_a_real_set_never_change(test_images: Path, tmp_path: Path) -> None:
    """Also from what is kept of them, instead of decoding them again."""
    for _ in range(2):
        images = read_images(test_images / "all-taleqani", tmp_path)
        tested = digest_of_tested(place_by_blocks(images, held_out_blocks("honest"), False, NEAR_BITS))
        assert FROZEN[digest_of(images)] == tested
        check_frozen(digest_of(images), tested)


def test_other_test_images_of_a_known_set_are_refused() -> None:
    known = next(iter(FROZEN))
    with pytest.raises(DataError, match="would test other images than before"):
        check_frozen(known, "0" * 64)
    check_frozen("a set of the laboratory's own", "0" * 64)
