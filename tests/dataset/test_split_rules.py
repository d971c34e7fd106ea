"""Whatever arrives, in whatever order: no group on two sides, and what was decided stays."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from some_arrivals import EMPTY, PARAMS, add, arrivals, image, origin

from hemaloop.config import parse_section
from hemaloop.dataset.batch import Batch, Link, Origin
from hemaloop.dataset.groups import Components
from hemaloop.dataset.manifest import ManifestRow, check_sides, manifest_rows
from hemaloop.dataset.records import EXCLUDED, SIDES, History
from hemaloop.dataset.seal import seal
from hemaloop.dataset.split import SplitParams, decide_sides
from hemaloop.errors import ConfigError, DataError


def sides_in(history: History) -> dict[str, str]:
    """The manifest's side of each image, also of those without a label."""
    labelled = {
        batch: tuple(replace(one, label=one.label or "unknown") for one in images)
        for batch, images in history.images.items()
    }
    return {row.sha256: row.side for row in rows(History(labelled, history.links))}


def rows(history: History) -> list[ManifestRow]:
    return list(manifest_rows(history, Path("data/batches")))


def same_thing(one: Origin, other: Origin) -> bool:
    """What a person would call one group, written apart from the rules."""
    if (one.patient and one.patient == other.patient) or (one.slide and one.slide == other.slide):
        return True
    unknown = not (one.patient or one.slide or other.patient or other.slide)
    near = abs(one.captured_at - other.captured_at) <= timedelta(minutes=PARAMS.neighbour_minutes)
    return unknown and one.device == other.device and near


def assert_kept_apart(batches: list[Batch], sides: dict[str, str]) -> None:
    """Flood along everything that ties images or refused uploads: no flood reaches two sides."""
    nodes = [(one.origin, one.sha256) for batch in batches for one in batch.images]
    nodes += [(link.origin, link.sha256) for batch in batches for link in batch.links]
    left = set(range(len(nodes)))
    while left:
        reached, front = set(), {left.pop()}
        while front:
            at = front.pop()
            reached.add(at)
            tied = {to for to in left if nodes[to][1] == nodes[at][1] or same_thing(nodes[to][0], nodes[at][0])}
            left -= tied
            front |= tied
        on = {sides[nodes[at][1]] for at in reached if nodes[at][1] in sides} - {EXCLUDED}
        assert len(on) <= 1


@settings(max_examples=150, deadline=None)
@given(arrivals())
def test_no_group_is_ever_on_two_sides_and_no_side_ever_changes(batches: list[Batch]) -> None:
    history, before, recorded = EMPTY, {}, {}
    for number, batch in enumerate(batches):
        history, _ = add(history, batch)
        sides = sides_in(history)
        assert_kept_apart(batches[: number + 1], sides)
        check_sides(rows(history))
        for sha256, side in before.items():
            assert sides[sha256] in (side, EXCLUDED)
        for one in history.all_images():
            assert recorded.setdefault(one.group, one.side) == one.side
        before = sides
    assert len(before) == sum(len(batch.images) for batch in batches)


@settings(max_examples=50, deadline=None)
@given(arrivals(), st.randoms(use_true_random=False))
def test_same_images_in_any_order_give_the_same_batch(batches: list[Batch], random) -> None:
    history = EMPTY
    for batch in batches:
        images, links = list(batch.images), list(batch.links)
        random.shuffle(images)
        random.shuffle(links)
        shuffled = Batch(tuple(images), tuple(links))
        assert shuffled.id == batch.id
        assert seal(shuffled, history, PARAMS) == seal(batch, history, PARAMS)
        history, _ = add(history, batch)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from("xyz")), min_size=60, max_size=120), st.integers(0, 9))
def test_each_class_comes_near_its_wanted_shares(groups: list[tuple[int, str]], seed: int) -> None:
    params = replace(PARAMS, seed=seed)
    present = {side: Counter() for side in SIDES}
    for start in range(0, len(groups), 10):
        new = {f"slide:{start + at}": Counter({label: n}) for at, (n, label) in enumerate(groups[start : start + 10])}
        for group, side in decide_sides(new, present, params).items():
            present[side].update(new[group])
    for label in {label for _, label in groups}:
        total = sum(present[side][label] for side in SIDES)
        largest = max(size for size, each in groups if each == label)
        for side in SIDES:
            assert abs(present[side][label] - params.share(side) * total) <= largest


def test_each_class_of_a_few_slides_is_on_every_side() -> None:
    slides = [(label, slide) for label in "vwxyz" for slide in range(5)]
    images = [image(n, origin(0, slide=f"{label}{slide}"), label) for n, (label, slide) in enumerate(slides)]
    _, sealed = add(EMPTY, Batch(tuple(images)))
    assert Counter((one.label, one.side) for one in sealed.images) == Counter(
        {(label, side): 3 if side == "train" else 1 for label in "vwxyz" for side in SIDES}
    )


def test_another_seed_gives_another_split() -> None:
    groups = {f"slide:{n}": Counter({"x": 1}) for n in range(40)}
    assert decide_sides(groups, {}, PARAMS) == decide_sides(groups, {}, PARAMS)
    assert decide_sides(groups, {}, PARAMS) != decide_sides(groups, {}, replace(PARAMS, seed=8))


def test_an_image_between_two_runs_makes_them_one() -> None:
    history, _ = add(EMPTY, Batch((image(1, origin(0)), image(2, origin(16)))))
    assert len({one.group for one in history.all_images()}) == 2
    history, sealed = add(history, Batch((image(3, origin(8)),)))
    components = Components(history.all_images(), history.all_links())
    assert len({components.of(one.group) for one in history.all_images()}) == 1
    assert [link.reason for link in sealed.links] == ["it lies between two runs"]


def test_a_refused_duplicate_between_two_runs_makes_them_one_with_its_image() -> None:
    history, _ = add(EMPTY, Batch((image(1, origin(0)), image(2, origin(16)), image(3, origin(0, "pi-2")))))
    history, _ = add(history, Batch((), (Link(origin(8), f"{3:064x}", "near-duplicate"),)))
    components = Components(history.all_images(), history.all_links())
    assert len({components.of(one.group) for one in history.all_images()}) == 1


def test_a_refused_duplicate_counts_as_a_neighbour_of_what_comes_later() -> None:
    history, _ = add(EMPTY, Batch((image(1, origin(0, "pi-2")),), (Link(origin(8), f"{1:064x}", "near-duplicate"),)))
    history, _ = add(history, Batch((image(2, origin(16)),)))
    components = Components(history.all_images(), history.all_links())
    assert len({components.of(one.group) for one in history.all_images()}) == 1


def test_training_images_leave_when_their_group_proves_to_be_a_test_group() -> None:
    many = [image(n, origin(0, slide=f"s{n}")) for n in range(10)]
    history, sealed = add(EMPTY, Batch(tuple(many)))
    train = next(one for one in sealed.images if one.side == "train")
    test = next(one for one in sealed.images if one.side == "test")
    link = Link(origin(0, slide=train.slide), test.sha256, "near-duplicate at distance 2 of 64")
    history, sealed = add(history, Batch((image(99, origin(5, slide=train.slide)),), (link,)))
    assert sealed.excluded == (train.group,)
    sides = sides_in(history)
    assert sides[train.sha256] == sides[f"{99:064x}"] == EXCLUDED
    assert sides[test.sha256] == "test"


def test_a_slide_without_its_patient_goes_where_the_patient_is() -> None:
    history, sealed = add(EMPTY, Batch(tuple(image(n, origin(0, patient=f"p{n}", slide=f"s{n}")) for n in range(10))))
    held = next(one for one in sealed.images if one.side == "test")
    _, sealed = add(history, Batch((image(99, origin(0, slide=held.slide)),)))
    assert sealed.images[0].side == "test"


def test_an_image_is_sealed_once() -> None:
    history, _ = add(EMPTY, Batch((image(1, origin(0)),)))
    with pytest.raises(DataError, match=r"is in batch [0-9a-f]{16} already"):
        seal(Batch((image(1, origin(50)), image(2, origin(0)))), history, PARAMS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train": 0.8}, "add up to 1.1: wanted 1"),
        ({"train": 0.0, "test": 0.85}, "train is 0"),
        ({"validation": -0.15, "test": 0.45}, "validation -0.15: wanted a share"),
        ({"neighbour_minutes": 0}, "neighbour_minutes 0"),
    ],
)
def test_shares_that_cannot_be_are_refused(changed: dict[str, float], message: str) -> None:
    values = {"seed": 7, "train": 0.7, "validation": 0.15, "test": 0.15, "neighbour_minutes": 10} | changed
    with pytest.raises(ConfigError, match=message):
        parse_section(values, "params.yaml: split", SplitParams)
