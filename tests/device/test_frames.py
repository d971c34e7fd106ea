"""What is not sent: frames that show nothing new, and frames out of focus. What shows something new always is."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.device.capture.cameras.frame import Frame
from hemaloop.device.capture.frames import REMEMBERED, Chooser
from hemaloop.device.home import DeviceSettings
from hemaloop.device.journal import NOTHING_NEW, OUT_OF_FOCUS
from hemaloop.imaging.decode import Image, decode, encode_jpeg, encode_png
from hemaloop.imaging.measure import measure
from hemaloop.imaging.overlap import glance, unseen

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SETTINGS = DeviceSettings("pi-1", "file:///nowhere", "stable", slide="slide-7")


def smear(seed: int, width: int = 1600, height: int = 900, px_per_cell: int = 5000) -> Image:
    """A stretch of slide: cells on a pale ground, none like another."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), (228, 218, 222), np.uint8)
    for _ in range(width * height // px_per_cell):
        centre = tuple(int(value) for value in rng.integers(0, (width, height)))
        colour = tuple(int(value) for value in rng.integers((120, 60, 110), (205, 170, 190)))
        cv2.circle(image, centre, int(rng.integers(18, 34)), colour, -1, cv2.LINE_AA)
    return image


def view(slide: Image, x: int = 0, y: int = 0, seed: int = 0, brighter: float = 0.0) -> Image:
    """What a camera of 640x480 sees at a place, with its noise."""
    part = slide[y : y + 480, x : x + 640].astype(np.float32)
    noise = np.random.default_rng(seed).normal(brighter, 3, part.shape)
    return np.clip(part + noise, 0, 255).astype(np.uint8)


def frame(image: Image, name: str = "a") -> Frame:
    return Frame(name, NOON, ".jpg", encode_jpeg(image, 90))


@pytest.fixture
def chooser(tmp_path: Path) -> Chooser:
    return Chooser(tmp_path / "seen", SETTINGS)


def show(chooser: Chooser, *images: Image, quality: int | None = None) -> list[str]:
    """What becomes of each: why it is not sent, "" for one that is."""
    told = []
    for image in images:
        choice = chooser.choose(frame(image), quality)
        told.append(choice.not_sent)
        if not choice.not_sent:
            chooser.sent(choice)
    return told


def test_a_stage_that_rests_sends_one_frame_however_its_camera_rustles(chooser: Chooser) -> None:
    slide = smear(1)
    rests = [view(slide, seed=number, brighter=number) for number in range(6)]
    assert show(chooser, *rests) == ["", *[NOTHING_NEW] * 5]


def test_a_stage_that_moves_on_sends_each_field_once(chooser: Chooser) -> None:
    slide = smear(2)
    places = range(0, 961, 80)  # an eighth of a field each time
    told = show(chooser, *(view(slide, x=x, seed=x) for x in places))
    sent = [x for x, why in zip(places, told, strict=True) if not why]
    assert sent[0] == 0
    assert all(320 <= b - a <= 400 for a, b in pairwise(sent)), "half a field must be new"
    assert 960 - sent[-1] < 400
    assert show(chooser, *(view(slide, x=x, seed=7) for x in (200, 500, 800))) == [NOTHING_NEW] * 3, "and back again"


def test_other_fields_are_new_and_a_blurred_one_is_not_sent(chooser: Chooser) -> None:
    fields = [view(smear(seed)) for seed in range(3, 7)]
    blurred = cv2.GaussianBlur(view(smear(9)), (0, 0), 5)
    assert show(chooser, *fields, blurred) == ["", "", "", "", OUT_OF_FOCUS]
    assert show(chooser, view(smear(9))) == [""], "once it is sharp it is sent: the blurred one was not remembered"


def test_a_live_cameras_blur_is_told_by_its_own_sharpness_and_a_lens_that_grew_dull_goes_on(tmp_path: Path) -> None:
    fields = [view(smear(seed), seed=seed) for seed in range(20, 30)]
    smeared = cv2.blur(view(smear(30)), (40, 1))  # a stage in motion
    assert show(Chooser(tmp_path / "a", SETTINGS), *fields, smeared)[-1] == "", "among images of anywhere it may stay"
    live = Chooser(tmp_path / "b", SETTINGS, live=True)
    assert show(live, *fields, smeared) == [*[""] * 10, OUT_OF_FOCUS]
    dull = [cv2.blur(view(smear(seed)), (40, 1)) for seed in range(31, 50)]
    assert show(live, *dull)[-1] == ""


def test_what_changed_in_a_place_counts_as_new_where_it_lies() -> None:
    before = view(smear(10))
    after = before.copy()
    after[80:240, 160:320] = view(smear(99))[80:240, 160:320]  # a twelfth of the field
    assert 0.02 < unseen(glance(after), [glance(before)]) < 0.2
    assert unseen(glance(before), [glance(before)]) == 0


@given(st.integers(0, 500), st.integers(0, 400), st.integers(0, 2**16))
@settings(max_examples=10, deadline=None)
def test_no_more_is_taken_for_seen_than_was_shown(dx: int, dy: int, seed: int) -> None:
    slide = smear(seed)
    common = max(0, 640 - dx) * max(0, 480 - dy) / (640 * 480)
    assert unseen(glance(view(slide, dx, dy)), [glance(view(slide))]) >= 1 - common - 0.02


@given(st.integers(0, 2**16), st.integers(0, 2**16))
@settings(max_examples=8, deadline=None)
def test_another_slide_is_new(one: int, other: int) -> None:
    if one != other:
        assert unseen(glance(view(smear(one))), [glance(view(smear(other)))]) > 0.9


def test_a_sparse_field_is_new_though_most_of_it_is_the_same_empty_glass() -> None:
    one, other = (view(smear(seed, px_per_cell=60_000), seed=seed) for seed in (40, 41))
    assert unseen(glance(one), [glance(other)]) == 1


def test_what_was_sent_is_remembered_through_a_restart_and_forgotten_with_the_slide(tmp_path: Path) -> None:
    field = view(smear(11))
    assert show(Chooser(tmp_path, SETTINGS), field) == [""]
    (tmp_path / "slide-7" / "000000000009.png").write_bytes(b"half")
    assert show(Chooser(tmp_path, SETTINGS), field) == [NOTHING_NEW]
    assert show(Chooser(tmp_path, replace(SETTINGS, slide="slide-8")), field) == [""]
    assert show(Chooser(tmp_path, SETTINGS), field) == [""]


def test_only_so_many_are_remembered(tmp_path: Path) -> None:
    chooser = Chooser(tmp_path, SETTINGS)
    slide = smear(12, width=660 * (REMEMBERED + 2))
    show(chooser, *(view(slide, x=650 * number) for number in range(REMEMBERED + 2)))
    assert len(list(tmp_path.rglob("*.png"))) == REMEMBERED


def test_what_cannot_be_decoded_is_sent_as_it_is(chooser: Chooser) -> None:
    broken = Frame("a", NOON, ".jpg", b"\xff\xd8\xff broken")
    choice = chooser.choose(broken, 50)
    assert (choice.frame, choice.not_sent) == (broken, "")
    chooser.sent(choice)


def test_a_switched_off_choice_sends_everything(tmp_path: Path) -> None:
    chooser = Chooser(tmp_path, replace(SETTINGS, min_new=0.0, min_focus=0.0))
    field = cv2.GaussianBlur(view(smear(13)), (0, 0), 5)
    assert show(chooser, field, field) == ["", ""]


def test_a_frame_is_encoded_anew_only_where_that_saves(chooser: Chooser) -> None:
    field = view(smear(14))
    as_jpeg, as_png = frame(field), Frame("a", NOON, ".png", encode_png(field))
    assert chooser.choose(as_jpeg, None).frame == as_jpeg
    assert chooser.choose(as_jpeg, 90).frame == as_jpeg
    smaller = chooser.choose(as_jpeg, 50).frame
    assert len(smaller.data) < len(as_jpeg.data) / 1.5
    assert measure(smaller.data).jpeg_quality == 50
    told = chooser.choose(as_png, 90).frame
    assert (told.suffix, told.name, decode(told.data).shape) == (".jpg", "a", (480, 640, 3))
    assert chooser.choose(as_png, None).frame == as_png
