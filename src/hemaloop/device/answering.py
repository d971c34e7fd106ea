"""The model that runs answers images; a shadow, where there is one, answers them too, and only counts.

Before each attempt the journal is told which one. So a model that takes the process down is found out afterwards:
on probation it comes back, a shadow ends, and an image that no model survives is given up.
"""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemaloop.device.home import Clock, DeviceSettings, Home
from hemaloop.device.journal import FAILED, UNREADABLE, Journal
from hemaloop.device.results import append_result
from hemaloop.device.updates import probation
from hemaloop.device.updates.probation import Verdict
from hemaloop.device.updates.slots import Active, Held, Slots
from hemaloop.errors import DataError
from hemaloop.inference.classifier import Classifier
from hemaloop.protocol.bundle import MODEL
from hemaloop.protocol.keys import UploadKey
from hemaloop.protocol.report import Answer

log = logging.getLogger(__name__)

ACTIVE, SHADOW = "active", "shadow"  # who was asked
MOST_DEATHS = 3  # attempts that ended with the process: of an image; of a shadow since it last survived one
SUM_TOLERANCE = 0.1  # of the probabilities: those of an 8-bit model are multiples of 1/256


@dataclass(frozen=True)
class Seen:
    label: str
    probabilities: dict[str, float]
    latency_ms: float  # decoding included


class _ModelFailed(Exception):  # noqa: N818
    """The model, not the image, is the reason that there is no answer."""


class Answering:
    """Loads what is active, and keeps it until something else is."""

    def __init__(self, home: Home, settings: DeviceSettings, journal: Journal, clock: Clock) -> None:
        self._home = home
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._slots = Slots(home.slots)
        self._loaded: dict[str, Classifier] = {}  # SHA-256 of a model -> it
        self._stuck: Active | None = None  # what could not be gone back from

    def answer(self, image: Path) -> bool:
        """Classify one image; count it, and keep the answer.

        Returns: False where the model failed on probation: the image waits for the next attempt.

        Raises:
            DataError: the model's file is damaged, and there is none to go back to.
        """
        done = self._attempt(image)
        self._leave_what_failed()
        return done

    def _attempt(self, image: Path) -> bool:
        died = self._journal.deaths(ACTIVE, image.stem)
        if died:
            self._on_probation(self._must_be_active(), f"the process ended while it answered {image.stem}")
        active = self._ready()
        try:
            if died >= MOST_DEATHS:
                raise _ModelFailed(f"{died} attempts at it ended with the process")
            self._journal.attempt(ACTIVE, image.stem)
            seen = _answer(self._loaded[active.sha256], image, self._settings.um_per_px)
        except _Unreadable as error:
            self._unanswered(image, UNREADABLE, str(error))
        except _ModelFailed as error:
            if died < MOST_DEATHS and self._on_probation(active, str(error)):
                self._journal.survived(ACTIVE)
                return False
            self._unanswered(image, FAILED, str(error))
        else:
            self._keep(image, active, seen)
            self._ask_shadow(image, active, seen)
        return True

    def _must_be_active(self) -> Active:
        active = self._slots.active()
        if active is None:
            raise DataError("no model yet: run `hemaloop-device update`")
        return active

    def _ready(self) -> Active:
        """What is to answer now, loaded; the model before, where this one failed its probation or is damaged."""
        self._leave_what_failed()
        try:
            return self._load()
        except DataError as error:
            if not self._go_back(self._must_be_active(), str(error), failed=False):
                raise
            return self._load()

    def _leave_what_failed(self) -> None:
        active = self._must_be_active()
        if probation.verdict(active, self._journal) is Verdict.FAILED:
            self._go_back(active, probation.trial_of(active, self._journal).why, failed=True)

    def _load(self) -> Active:
        active = self._must_be_active()
        if active.sha256 not in self._loaded:
            self._loaded = {active.sha256: _ready_to_answer(self._slots.model().content)}
        return active

    def _go_back(self, active: Active, why: str, failed: bool) -> bool:
        """Tried once: what cannot come back now will not with the next image."""
        if active == self._stuck:
            return False
        done = probation.go_back(self._slots, self._journal, self._clock(), why, failed)
        self._stuck = None if done else active
        return done

    def _on_probation(self, active: Active, failure: str) -> bool:
        """Whether the model is on probation; then the failure counts against it."""
        if probation.verdict(active, self._journal) is not Verdict.RUNNING:
            return False
        log.warning("release %d on probation: %s", active.version, failure)
        probation.count(active, self._journal, failure)
        return True

    def _keep(self, image: Path, active: Active, seen: Seen) -> None:
        probabilities = {label: round(p, 6) for label, p in seen.probabilities.items()}
        latency_ms = round(seen.latency_ms, 3)
        said = {"label": seen.label, "probabilities": probabilities, "model": str(active.version)}
        append_result(self._home.results, self._clock(), image.stem, said | {"latency_ms": latency_ms})
        if probation.verdict(active, self._journal) is Verdict.RUNNING:
            probation.count(active, self._journal, self._late(active, seen))
        answer = Answer(self._upload(image), active.version, seen.label, probabilities[seen.label])
        self._journal.count_answer(image.stem, answer, latency_ms)

    def _late(self, active: Active, seen: Seen) -> str:
        release = self._slots.release(active.slot)
        if release is None or seen.latency_ms <= release.latency_budget_ms:
            return ""
        return f"an image took {seen.latency_ms:.1f} ms, allowed are {release.latency_budget_ms:g} ms"

    def _unanswered(self, image: Path, kind: str, why: str) -> None:
        append_result(self._home.results, self._clock(), image.stem, {"error": why})
        self._journal.count(kind, image.stem)

    def _upload(self, image: Path) -> str:
        """The key of the image in the bucket: its capture begins with the time in UTC."""
        try:
            day = datetime.strptime(image.stem[:8], "%Y%m%d").replace(tzinfo=UTC).date()
        except ValueError:
            return image.stem
        return str(UploadKey(self._settings.id, day, image.stem, image.suffix))

    def _ask_shadow(self, image: Path, active: Active, seen: Seen) -> None:
        """Whatever the shadow does, the answer has been given."""
        held = active.idle
        if held is None or not held.shadow:
            return
        if self._journal.deaths(SHADOW, str(held.version)) >= MOST_DEATHS:
            self._slots.avoid(held.version, f"as a shadow it ended the process {MOST_DEATHS} times")
            self._slots.end_beside()
            self._journal.survived(SHADOW)
            return
        self._journal.attempt(SHADOW, str(held.version))
        self._journal.count_beside(image.stem, held.version, agreed=False, failed=True)  # until it has answered
        try:
            other = _answer(self._shadow(held), image, self._settings.um_per_px)
        except (_Unreadable, _ModelFailed, DataError) as error:
            log.warning("shadow %d: %s: %s", held.version, image.stem, error)
        else:
            self._journal.count_beside(image.stem, held.version, agreed=other.label == seen.label)
        self._journal.survived(SHADOW)

    def _shadow(self, held: Held) -> Classifier:
        if held.sha256 not in self._loaded:
            idle = self._slots.idle()
            if idle is None:
                raise DataError("its file is damaged")
            self._loaded[held.sha256] = _ready_to_answer((idle[1] / MODEL).read_bytes())
        return self._loaded[held.sha256]


class _Unreadable(Exception):  # noqa: N818
    """The image cannot be classified by any model."""


def _ready_to_answer(model: bytes) -> Classifier:
    """Loaded, and asked once: the first answer also prepares the interpreter, and is late. Raises: DataError."""
    classifier = Classifier(model)
    size = classifier.metadata.size_px
    try:
        classifier.probabilities(np.zeros((1, size, size, 3), np.uint8))
    except (RuntimeError, ValueError) as error:
        raise DataError(f"model: it does not answer: {error}") from error
    return classifier


def _answer(classifier: Classifier, image: Path, um_per_px: float | None) -> Seen:
    """Told apart: an image that cannot be read, and a model that cannot answer."""
    start = time.perf_counter()
    try:
        pixels = classifier.prepare(image.read_bytes(), um_per_px)
    except OSError as error:
        raise _Unreadable(f"cannot be read: {error.strerror}") from error
    except DataError as error:
        raise _Unreadable(str(error)) from error
    try:
        answer = classifier.probabilities(pixels[np.newaxis])[0]
    except (DataError, RuntimeError, ValueError) as error:
        raise _ModelFailed(f"no answer: {error}") from error
    latency_ms = 1000 * (time.perf_counter() - start)
    if not is_possible(answer):
        raise _ModelFailed(f"an impossible answer: {answer.tolist()}")
    classes = classifier.metadata.classes
    probabilities = {name: float(value) for name, value in zip(classes, answer, strict=True)}
    return Seen(classes[int(answer.argmax())], probabilities, latency_ms)


def is_possible(probabilities: NDArray[np.float32]) -> bool:
    """Whether they can be probabilities: each from 0 to 1, together about 1. One that is no number is none."""
    return bool(
        np.all((probabilities >= 0) & (probabilities <= 1)) and abs(float(probabilities.sum()) - 1) <= SUM_TOLERANCE
    )
