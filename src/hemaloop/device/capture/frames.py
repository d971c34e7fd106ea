"""Which frames are sent, and how: see docs/adr/0026-frames-that-are-not-sent.md."""

import shutil
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from hemaloop.device.capture.cameras.frame import Frame
from hemaloop.device.home import DeviceSettings
from hemaloop.device.journal import NOTHING_NEW, OUT_OF_FOCUS
from hemaloop.imaging.container import read_container
from hemaloop.imaging.decode import decode, decode_pixels, encode_jpeg
from hemaloop.imaging.measure import Measures, measure
from hemaloop.imaging.overlap import SIDE_PX, Glance, from_grey, glance, unseen

REMEMBERED = 16  # sent frames of a slide that a new one is compared with
LATELY, ENOUGH = 32, 8  # frames of a live camera that tell how sharp it can be: at most, and at least
SHARP_SHARE = 0.5  # of their median focus; a stage in motion and a lens that is being turned show less


@dataclass(frozen=True)
class Choice:
    frame: Frame  # as it is to be sent
    not_sent: str = ""  # why, where it is not
    worth: float = 0.0  # the share of it that no sent frame shows
    glance: Glance | None = None  # None: it cannot be decoded


class Chooser:
    """Compares frames with those that were sent last of the slide under the microscope."""

    def __init__(self, folder: Path, settings: DeviceSettings, live: bool = False) -> None:
        """`live`: the frames are of one microscope, one after the other."""
        self._settings = settings
        self._focuses: deque[float] | None = deque(maxlen=LATELY) if live else None
        self._seen = Seen(folder, settings.slide or "unnamed")

    def choose(self, frame: Frame, quality: int | None) -> Choice:
        """What becomes of a frame; `quality`: of its JPEG at most, None: as the camera gave it.

        A frame that cannot be decoded is sent: the cloud tells why it refuses it, and its camera can be mended.
        """
        measures = measure(frame.data)
        if measures.problem:
            return Choice(frame)
        if not self._is_sharp(measures.focus):
            return Choice(frame, OUT_OF_FOCUS)
        looked = _glance(frame.data)
        worth = unseen(looked, self._seen.latest(), self._settings.min_new)
        if worth < self._settings.min_new:
            return Choice(frame, NOTHING_NEW, worth, looked)
        return Choice(_encoded(frame, measures, quality), "", worth, looked)

    def _is_sharp(self, focus: float) -> bool:
        """Against the setting, and against what this camera showed lately: so it goes on where its lens grew dull."""
        if self._settings.min_focus == 0:
            return True
        if focus < self._settings.min_focus:
            return False
        if self._focuses is None:
            return True
        self._focuses.append(focus)
        return len(self._focuses) < ENOUGH or focus >= SHARP_SHARE * median(self._focuses)

    def sent(self, choice: Choice) -> None:
        """The frame is in the spool: what shows the same is not sent any more."""
        if choice.glance is not None:
            self._seen.add(choice.glance)


class Seen:
    """<folder>/<slide>/<number>.png: the frames of a slide that were sent last. Another slide makes them forgotten."""

    def __init__(self, folder: Path, slide: str) -> None:
        self._folder = folder / slide
        for other in folder.iterdir() if folder.is_dir() else ():
            if other != self._folder:
                shutil.rmtree(other)
        self._glances: dict[int, Glance] = {}
        for path in sorted(self._folder.glob("*.png")):
            grey = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
            if grey is not None and max(grey.shape) == SIDE_PX:  # else a kill left it half-written
                self._glances[int(path.stem)] = from_grey(grey)

    def latest(self) -> list[Glance]:
        """The newest first: it is the likeliest to show the same."""
        return [self._glances[number] for number in sorted(self._glances, reverse=True)]

    def add(self, glance: Glance) -> None:
        """Without making sure of it: a frame that a power cut makes forgotten is sent once more."""
        self._folder.mkdir(parents=True, exist_ok=True)
        number = max(self._glances, default=0) + 1
        self._glances[number] = glance
        encoded = cv2.imencode(".png", glance.grey.astype(np.uint8))[1]
        self._path(number).write_bytes(encoded.tobytes())
        for old in sorted(self._glances)[:-REMEMBERED]:
            del self._glances[old]
            self._path(old).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}.png"


def _glance(data: bytes) -> Glance:
    found = read_container(data)
    shrink = next((part for part in (8, 4, 2) if max(found.width, found.height) >= 2 * part * SIDE_PX), 1)
    image, _ = decode_pixels(data, found, shrink if found.format == "jpeg" else 1)
    return glance(decode(data) if image is None else image)


def _encoded(frame: Frame, measures: Measures, quality: int | None) -> Frame:
    """At no more than a quality; what is smaller, or coarser, already stays as it is: encoding it anew only harms."""
    if quality is None or 0 < measures.jpeg_quality <= quality:
        return frame
    data = encode_jpeg(decode(frame.data), quality)
    return replace(frame, suffix=".jpg", data=data) if len(data) < len(frame.data) else frame
