import sys
import time
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from hemaloop.imaging.hostile import corpus, harmless
from hemaloop.imaging.measure import Measures, measure
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.parameters import read_parameters
from hemaloop.ingest.rules import Thresholds, rules
from hemaloop.ingest.table import tabulate

MOST_MEGABYTES, MOST_SECONDS = 200, 2.0


@cache
def thresholds() -> Thresholds:
    return read_parameters(Path(__file__).parents[2] / "params.yaml").validate


def first_reason(measures: Measures) -> str:
    """Of ingest's own rules with params.yaml's thresholds; "" where it is accepted."""
    found = Measured(1, "uploads/pi-1/2026/01/31/a.jpg", measures.bytes, measures=measures)
    row = tabulate([found], thresholds()).iloc[0]
    for rule in rules():
        value = row[rule.column]
        if rule.forbidden and value in rule.forbidden:
            return rule.reason
        if rule.threshold and (value < row[rule.limit] if rule.end == "lowest" else value > row[rule.limit]):
            return rule.reason
    return ""


def megabytes(line: str) -> float:
    """Of this process: VmRSS is what it has now, VmHWM the most that it had since it was last asked to forget."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(each.split()[1]) / 1024 for each in lines if each.startswith(line))


def cost(data: bytes) -> tuple[Measures, float, float]:
    """Its measures, the processor's seconds, and the megabytes that it took at the most."""
    Path("/proc/self/clear_refs").write_text("5")
    before, start = megabytes("VmRSS"), time.process_time()
    measures = measure(data)
    return measures, time.process_time() - start, megabytes("VmHWM") - before


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_each_hostile_file_is_refused_for_its_reason_in_little_time_and_memory() -> None:
    files = corpus(1)
    assert len(files) >= 100
    wrong = {}
    for name, (data, reasons) in files.items():
        measures, seconds, taken = cost(data)
        reason = first_reason(measures)
        if reason not in reasons or seconds > MOST_SECONDS or taken > MOST_MEGABYTES:
            wrong[name] = (reason, sorted(reasons), seconds, taken)
    assert wrong == {}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("kind", ["png", "palette", "jpeg", "progressive"])
def test_the_largest_that_is_decoded_takes_little_time_and_memory(kind: str) -> None:
    side = 6000 if kind in ("jpeg", "progressive") else 5400
    image = np.full((side, side) if kind == "palette" else (side, side, 3), 200, np.uint8)
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(kind == "progressive")] if side == 6000 else []
    data = bytes(cv2.imencode(".jpg" if side == 6000 else ".png", image, flags)[1])
    measures, seconds, taken = cost(data)
    assert (measures.problem, measures.width) == ("", side)
    assert seconds < MOST_SECONDS
    assert taken < MOST_MEGABYTES


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_what_only_looks_odd_is_let_in_and_costs_little() -> None:
    wrong = {}
    for name, data in harmless(1).items():
        measures, seconds, taken = cost(data)
        if first_reason(measures) or seconds > MOST_SECONDS or taken > MOST_MEGABYTES:
            wrong[name] = (first_reason(measures), seconds, taken)
    assert wrong == {}


def test_a_seed_draws_one_corpus_and_the_reasons_hold_for_another() -> None:
    first, again, other = corpus(1), corpus(1), corpus(2)
    assert first == again
    assert first.keys() == other.keys()
    wrong = {name for name, (data, reasons) in other.items() if first_reason(measure(data)) not in reasons}
    assert wrong == set()


def test_what_is_refused_before_decoding_is_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    early = {"too_large", "bomb", "animated", "polyglot", "not_an_image", "empty"}
    files = [data for data, reasons in corpus(1).values() if reasons <= early]
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    assert len(files) > 50
    for data in files:
        assert measure(data).problem in early
