"""What is left when a person's images leave: as it was, but for them."""

from collections.abc import Iterator
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st
from some_arrivals import EMPTY, PARAMS, add, arrivals, image, origin

from hemaloop.dataset.batch import Batch, Link
from hemaloop.dataset.groups import Components
from hemaloop.dataset.leaving_out import BRIDGE, Change, Withdrawn, leave_out, slides_of
from hemaloop.dataset.manifest import check_sides, manifest_rows
from hemaloop.dataset.records import EXCLUDED, History, SealedImage, SealedLink
from hemaloop.dataset.seal import seal


def apply(history: History, changes: tuple[Change, ...]) -> History:
    old = {change.old for change in changes}
    images = {id_: rows for id_, rows in history.images.items() if id_ not in old}
    links = {id_: rows for id_, rows in history.links.items() if id_ not in old}
    for change in changes:
        if change.new is not None:
            assert change.new.id not in images | links
            images |= {change.new.id: change.images} if change.images else {}
            links |= {change.new.id: change.links} if change.links else {}
    return History(images, links)


def sealed(batches: list[Batch]) -> History:
    history = EMPTY
    for batch in batches:
        history, _ = add(history, batch)
    return history


def rows(history: History) -> Iterator[SealedImage | SealedLink]:
    return chain(history.all_images(), history.all_links())


def names(row: SealedImage | SealedLink, patient: str, slides: frozenset[str]) -> bool:
    return row.patient == patient or (row.patient is None and row.slide in slides)


@settings(max_examples=200, deadline=None)
@given(arrivals(), st.sampled_from(["a", "b", "zz"]), st.sets(st.integers(0, 23), max_size=2))
def test_they_are_gone_and_everything_else_is_as_it_was(batches: list[Batch], patient: str, more: set[int]) -> None:
    before = sealed(batches)
    wanted = Withdrawn(frozenset(map("{:064x}".format, more)), patient)
    after = apply(before, leave_out(before, wanted))
    slides = slides_of({(row.slide, row.patient) for row in rows(before)}, patient)
    assert not any(names(row, patient, slides) for row in rows(after))
    kept = {one for one in before.all_images() if not names(one, patient, slides) and one.sha256 not in wanted.images}
    assert set(after.all_images()) == kept  # groups, sides, labels: all of it
    assert leave_out(after, wanted) == ()
    gone = {one.sha256 for one in before.all_images()} - {one.sha256 for one in kept}
    assert not gone & {row.sha256 for row in rows(after)}
    assert_kept_together(before, after)
    assert_sides_stay(before, after)


def assert_kept_together(before: History, after: History) -> None:
    """What was one through what has gone is one still: among images, and with what only links speak of."""
    old = Components(before.all_images(), before.all_links())
    new = Components(after.all_images(), after.all_links())
    groups = {row.group for row in rows(after)}
    with_images = {old.of(one.group) for one in after.all_images()}
    for one in groups:
        for other in groups:
            if old.of(one) != old.of(other):
                assert new.of(one) != new.of(other)
            elif old.of(one) in with_images:
                assert new.of(one) == new.of(other)


def assert_sides_stay(before: History, after: History) -> None:
    """Only an image that was excluded for one that has gone may have its own side again."""
    check_sides(manifest(after))
    old = {row.sha256: row.side for row in manifest(before)}
    for row in manifest(after):
        recorded = next(one.side for one in after.all_images() if one.sha256 == row.sha256)
        assert row.side == old[row.sha256] or (old[row.sha256], row.side) == (EXCLUDED, recorded)


def manifest(history: History) -> list:
    from pathlib import Path

    return list(manifest_rows(history, Path("data/batches")))


def test_a_link_through_a_forgotten_image_holds_on_to_another() -> None:
    first = Batch((image(1, origin(0, slide="s", patient="p")), image(2, origin(0, slide="t"))))
    links = Batch(
        (image(3, origin(0, slide="u")),),
        (Link(origin(0, slide="t"), f"{1:064x}", "near"), Link(origin(0, slide="u"), f"{1:064x}", "near")),
    )
    before = sealed([first, links])
    after = apply(before, leave_out(before, Withdrawn(patient="p")))
    assert {(link.slide, link.reason) for link in after.all_links()} == {("t", BRIDGE), ("u", BRIDGE)}
    late = Batch((image(9, origin(5, slide="u")),))
    assert seal(late, after, PARAMS).images[0].side == next(one.side for one in after.all_images() if one.slide == "u")


def test_what_is_left_is_named_by_what_it_holds() -> None:
    """As if it had been sealed without them: so two that forget the same at once make the same batch."""
    given = Batch((image(1, origin(0, patient="p")), image(2, origin(0, slide="t"))))
    (change,) = leave_out(sealed([given]), Withdrawn(patient="p"))
    assert change.new == Batch((image(2, origin(0, slide="t")),))
    assert change.old == given.id != change.new.id


def test_a_batch_of_one_person_leaves_nothing() -> None:
    (change,) = leave_out(sealed([Batch((image(1, origin(0, patient="p")),))]), Withdrawn(patient="p"))
    assert change.new is None


def test_a_slide_of_two_patients_is_nobodys_alone() -> None:
    given = Batch(tuple(image(n, origin(0, slide="s", patient=p)) for n, p in enumerate(["p", "q", None])))
    (change,) = leave_out(sealed([given]), Withdrawn(patient="p"))
    assert [one.patient for one in change.images] == ["q", None]
