"""What the choice of frames saves: bytes sent against sending every frame, on a simulated sweep over a slide.

The slide is a table of the BCCD fields of HEMALOOP_TEST_DATA, edge to edge (without it: synthetic smears). A camera of
640x480 looks at it twice a second while the stage goes from field to field in a meander: as a person moves it (three
quarters of a second of motion, which blurs; a second out of focus; five seconds of rest), and as a motor does that
never stops (a tenth of a field between two frames, sharp). Each frame has the camera's own noise and a lamp that
flickers. Sending every frame means each as a JPEG of quality 90. Streaming systems report 6.78 % (the published one).
"""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from bench.images import enlarged, fields
from bench.ratio import Ratio
from hemaloop.device.capture.cameras.frame import Frame
from hemaloop.device.capture.cameras.usb import QUALITY
from hemaloop.device.capture.frames import Chooser
from hemaloop.device.home import DeviceSettings
from hemaloop.imaging.decode import Image, decode, encode_jpeg

FIELD = (640, 480)
COLUMNS = 10
PUBLISHED = 0.0678
RATE = 2.0  # frames a second
NOISE = 2.0  # grey levels, standard deviation
FLICKER = 2.0

MOVING_SECONDS, FOCUSING_SECONDS, RESTING_SECONDS = 0.75, 1.0, 5.0
MOTOR_STEP = 0.1  # of a field, between two frames


@dataclass(frozen=True)
class Shot:
    """Where the stage is, and how sharp."""

    x: float  # fields
    y: float
    motion: float = 0.0  # px, along x, while the shutter is open
    defocus: float = 0.0  # px, sigma


@dataclass(frozen=True)
class Sent:
    frames: int
    frames_sent: int
    bytes_sent: int
    every_bytes: int


def run(quick: bool = False) -> list[Ratio]:
    told, images = fields(30 if quick else 100)
    slide = _slide([decode(data) for data in enlarged(images, FIELD)])
    rows = len(images) // COLUMNS
    found = {
        "a person's stage": sweep(slide, list(by_hand(rows)), None),
        "a person's stage, JPEG quality 50": sweep(slide, list(by_hand(rows)), 50),
        "a motor's stage": sweep(slide, list(by_motor(rows)), None),
    }
    return [
        Ratio(
            f"bytes sent over {told}: {name}, {sent.frames_sent} of {sent.frames} frames",
            sent.bytes_sent,
            sent.every_bytes,
            "bytes of every frame",
            PUBLISHED,
        )
        for name, sent in found.items()
    ]


def by_hand(rows: int) -> Iterator[Shot]:
    """Each field is gone to, focused, and looked at."""
    rng = np.random.default_rng(0)
    last = (0.0, 0.0)
    for x, y in _meander(rows):
        moving, focusing, resting = (round(s * RATE) for s in (MOVING_SECONDS, FOCUSING_SECONDS, RESTING_SECONDS))
        for step in range(moving):
            part = (step + 0.5) / moving
            yield Shot(last[0] + (x - last[0]) * part, last[1] + (y - last[1]) * part, motion=40)
        for step in range(focusing):
            yield Shot(x, y, defocus=6 / (step + 1))
        # Nobody lands on the table's grid, and a stage that rests still settles.
        off = rng.normal(0, 0.05, 2)
        for _ in range(resting):
            yield Shot(x + off[0] + rng.normal(0, 0.001), y + off[1] + rng.normal(0, 0.001))
        last = (x, y)


def by_motor(rows: int) -> Iterator[Shot]:
    """Along each row without a stop, then one row on."""
    steps = round((COLUMNS - 1) / MOTOR_STEP)
    for row in range(rows):
        for step in range(steps + 1):
            along = step * MOTOR_STEP
            yield Shot(along if row % 2 == 0 else COLUMNS - 1 - along, row)


def sweep(slide: Image, shots: list[Shot], quality: int | None) -> Sent:
    """Every frame through the device's own choice."""
    settings = DeviceSettings("bench", "file:///nowhere", "stable", slide="bench")
    frames_sent = bytes_sent = every_bytes = 0
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        chooser = Chooser(Path(folder), settings, live=True)
        for number, shot in enumerate(shots):
            data = encode_jpeg(_seen(slide, shot, rng), QUALITY)
            choice = chooser.choose(Frame(f"{number}", datetime.now(UTC), ".jpg", data), quality)
            every_bytes += len(data)
            if not choice.not_sent:
                chooser.sent(choice)
                frames_sent, bytes_sent = frames_sent + 1, bytes_sent + len(choice.frame.data)
    return Sent(len(shots), frames_sent, bytes_sent, every_bytes)


def _meander(rows: int) -> Iterator[tuple[float, float]]:
    for row in range(rows):
        columns = range(COLUMNS) if row % 2 == 0 else reversed(range(COLUMNS))
        yield from ((float(column), float(row)) for column in columns)


def _slide(images: list[Image]) -> Image:
    rows = [np.concatenate(images[start : start + COLUMNS], 1) for start in range(0, len(images), COLUMNS)]
    return np.concatenate([row for row in rows if row.shape == rows[0].shape], 0)


def _seen(slide: Image, shot: Shot, rng: np.random.Generator) -> Image:
    """At the slide's edge the last pixels go on, as an empty rim would."""
    margin = 64
    width, height = FIELD[0] + 2 * margin, FIELD[1] + 2 * margin
    centre = ((shot.x + 0.5) * FIELD[0], (shot.y + 0.5) * FIELD[1])
    move = np.array([[1, 0, centre[0] - width / 2], [0, 1, centre[1] - height / 2]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(slide, move, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    if shot.motion:
        seen = cv2.blur(seen, (max(1, math.ceil(shot.motion)), 1))
    if shot.defocus:
        seen = cv2.GaussianBlur(seen, (0, 0), shot.defocus)
    inner = seen[margin:-margin, margin:-margin].astype(np.float32)
    noisy = inner + rng.normal(0, NOISE, inner.shape) + rng.normal(0, FLICKER)
    frame: Image = np.clip(noisy, 0, 255).astype(np.uint8)
    return frame
