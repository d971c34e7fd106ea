"""What is amiss in the field is told where chance and a single slide do not explain it, once, until it is over."""

import json
import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.cli import main
from hemaloop.ingest.drift import shares_apart, worth
from hemaloop.ingest.fleet.alarms import Finding, judge, keep, note_told, open_alarms
from hemaloop.ingest.fleet.parameters import FleetParams
from hemaloop.ingest.fleet.pictures import shares
from hemaloop.ingest.fleet.shifts import Answers, Reference, confidence_drop, mean_confidence, shift, together
from hemaloop.ingest.fleet.sums import Taken, add
from hemaloop.ingest.fleet.table import Device, Use, fleet, keep_reference, references, uses
from hemaloop.ingest.ledger import Ledger
from hemaloop.protocol.report import CONFIDENCE_BINS, Answer, Report, Traffic
from hemaloop.registry.reference import count_answers

NOW = datetime.now(UTC).replace(microsecond=0)
PARAMS = FleetParams(3, 3600, 7, 0.2, 0.1, 0.05, 24, 400)
CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
EVEN = dict.fromkeys(CLASSES, 100)
SURE = (0, 0, 0, 0, 0, 0, 0, 0, 0, 500)
REFERENCE = Reference(7, "c0ffee", EVEN, EVEN, 500.0, SURE)
MANY = 50_000.0  # images, each an hour of its own


def device(version: int = 7, **said: str) -> Device:
    known = dict.fromkeys(Device.__dataclass_fields__, 0) | {"device": "pi-1", "version": version}
    known |= {"last_seen": NOW, "self_test": "passed", "probation": "none"}
    return Device(**{**known, **said})  # type: ignore[arg-type]


def answers(predicted: dict[str, int], blocks: float | None = None, **what: object) -> Answers:
    """Answers that are worth `blocks` independent images; by default as many as there are."""
    images = sum(predicted.values())
    return replace(Answers(7, predicted, squares=images**2 / (blocks or images)), **what)  # type: ignore[arg-type]


@given(blocks=st.lists(st.integers(1, 10_000), min_size=1, max_size=50))
def test_blocks_are_worth_at_least_one_image_and_at_most_what_they_hold(blocks: list[int]) -> None:
    assert 1 - 1e-9 <= worth(blocks) <= min(len(blocks), sum(blocks)) + 1e-9
    assert worth([1] * len(blocks)) == pytest.approx(len(blocks))
    assert worth(blocks[:1]) == pytest.approx(1)
    assert worth([*blocks, 0]) == worth(blocks)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), hours=st.integers(1, 60), each=st.integers(1, 300))
def test_many_cells_of_few_slides_prove_nothing(seed: int, hours: int, each: int) -> None:
    """Each hour shows one patient, who has cells of one class alone; over the hours all classes are as likely."""
    rng = np.random.default_rng(seed)
    seen = Counter(str(name) for name in rng.choice(CLASSES, hours) for _ in range(each))
    found = answers(dict(seen), worth([each] * hours))
    assert shift(found, REFERENCE).drift < 0.05
    assert judge([device()], [Use("pi-1", found)], {7: REFERENCE}, PARAMS) == []


@given(images=st.integers(1, 10))
def test_few_images_prove_nothing_and_many_do(images: int) -> None:
    assert shift(answers({"basophil": images}), REFERENCE).drift == 0
    assert shift(answers({"basophil": 1000 * images}), REFERENCE).drift > 0.5


@given(counts=st.lists(st.integers(0, 500), min_size=5, max_size=5).filter(any))
def test_drift_is_what_it_was_for_single_images_and_less_for_blocks(counts: list[int]) -> None:
    predicted = dict(zip(CLASSES, counts, strict=True))
    total = float(sum(counts))
    apart = [shares_apart(predicted, EVEN, of, 500.0) for of in (total, total / 2, 1.0)]
    assert sorted(apart, reverse=True) == apart
    assert all(0 <= each <= 1 for each in apart)


def test_nothing_to_compare_is_no_drift() -> None:
    for found in (shift(answers(EVEN), None), shift(Answers(7), REFERENCE)):
        assert math.isnan(found.drift)
        assert math.isnan(found.confidence_drop)
    assert math.isnan(mean_confidence(()))
    assert judge([device()], [Use("pi-1", answers({"basophil": 10_000}))], {}, PARAMS) == []


def test_a_model_that_grew_unsure_is_told_of() -> None:
    unsure = (0, 0, 0, 0, 10_000, 0, 0, 0, 0, 0)
    found = answers(dict.fromkeys(CLASSES, 2000), confidence=unsure)
    assert mean_confidence(unsure) == pytest.approx(0.45)
    assert 0.35 < confidence_drop(found, REFERENCE) < 0.5
    assert confidence_drop(replace(found, squares=found.images**2 / 3), REFERENCE) == 0
    kinds = {(each.subject, each.kind) for each in judge([device()], [Use("pi-1", found)], {7: REFERENCE}, PARAMS)}
    assert kinds == {("device:pi-1", "confidence"), ("version:7", "confidence")}


def test_failures_self_tests_and_returns_are_told_of() -> None:
    failing = replace(answers(EVEN), failed=200)
    kinds = {(each.subject, each.kind) for each in judge([device()], [Use("pi-1", failing)], {}, PARAMS)}
    assert kinds == {("device:pi-1", "failures"), ("version:7", "failures")}
    assert judge([device()], [Use("pi-1", replace(answers({"basophil": 1}), failed=0))], {}, PARAMS) == []
    (self_test,) = judge([device(self_test="failed: golden 3")], [], {}, PARAMS)
    (returned,) = judge([device(probation="returned: 3 of 5 failed")], [], {}, PARAMS)
    (stuck,) = judge([device(probation="failed: 3 of 5 failed")], [], {}, PARAMS)
    assert (self_test.kind, returned.kind, stuck.kind) == ("self-test", "probation", "probation")
    assert judge([device(probation="running: 3 of 20"), device(probation="passed")], [], {}, PARAMS) == []


def test_what_a_device_did_with_an_older_model_is_no_longer_its_fault() -> None:
    drifted = Use("pi-1", answers({"basophil": 10_000}))
    assert [each.subject for each in judge([device(8)], [drifted], {7: REFERENCE}, PARAMS)] == ["version:7"]


@given(step=st.integers(0, 100))
def test_between_the_limit_and_half_of_it_nothing_changes(step: int) -> None:
    """Alarms open above the limit and close below half of it, whichever way the drift goes."""
    away = round(500 * step / 100)  # images of 1000 that became basophils
    predicted = {name: round((1000 - away) / 5) * 50 for name in CLASSES}
    predicted["basophil"] += away * 50
    use = Use("pi-1", answers(predicted))
    drift = shift(use.answers, REFERENCE).drift
    both = {("device:pi-1", "drift"), ("version:7", "drift")}
    found = [
        {(each.subject, each.kind) for each in judge([device()], [use], {7: REFERENCE}, PARAMS, before)}
        for before in ((), both)
    ]
    assert found[0] == (both if drift > PARAMS.drift else set())
    assert found[1] == (both if drift > PARAMS.drift / 2 else set())


def test_all_devices_together_show_what_none_shows_alone() -> None:
    few = answers({"basophil": 20}, 4.0)
    found = [Use(f"pi-{number}", few) for number in range(50)]
    assert together(use.answers for use in found)[7].worth == pytest.approx(200)
    told = judge([replace(device(), device=use.device) for use in found], found, {7: REFERENCE}, PARAMS)
    assert [each.subject for each in told] == ["version:7"]


def test_an_alarm_opens_once_is_told_once_and_closes(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    drift, failures = Finding("device:pi-1", "drift", "a"), Finding("version:7", "failures", "b")
    assert [keep(ledger, found, NOW) for found in ([drift], [drift], [drift, failures])] == [True, False, True]
    first, second = open_alarms(ledger)
    note_told(ledger, [first], NOW)
    assert [each.told_at for each in open_alarms(ledger)] == [NOW, None]
    assert keep(ledger, [failures], NOW)
    assert [each.id for each in open_alarms(ledger)] == [second.id]
    assert keep(ledger, [drift, failures], NOW)
    assert [each.told_at for each in open_alarms(ledger)] == [None, None]


def test_a_block_is_an_hour_of_a_device_and_a_model(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    hour = NOW.replace(minute=0, second=0)
    told = [
        Report("pi-1", hour - timedelta(hours=hours) + timedelta(minutes=minutes), "0.1.0", version, "passed",
               classified={"monocyte": 2})
        for hours, minutes, version in ((1, 0, 7), (1, 20, 7), (1, 40, 8), (2, 0, 7))
    ]  # fmt: skip
    with ledger.writing() as connection:
        add(connection, [Taken(f"k{number}", each, NOW) for number, each in enumerate(told)])
    found = {use.answers.version: use.answers for use in uses(ledger, NOW - timedelta(days=1))}
    assert (found[7].images, found[7].worth, found[8].worth) == (6, pytest.approx(36 / 20), 1)
    assert uses(ledger, NOW + timedelta(days=1)) == []


def test_a_reference_is_counted_from_what_evaluation_wrote_and_never_changes(ledger_url: str) -> None:
    rows = [
        {"sha256": "1", "group": "p1", "actual": "a", "predicted": "b", "p_a": "0.05", "p_b": "0.95"},
        {"sha256": "2", "group": "p1", "actual": "a", "predicted": "a", "p_a": "1.0", "p_b": "0.0"},
        {"sha256": "3", "group": "p2", "actual": "b", "predicted": "b", "p_a": "0.39", "p_b": "0.61"},
    ]
    found = count_answers("c0ffee", rows)
    assert (found.predicted, found.labels, sorted(found.groups)) == ({"b": 2, "a": 1}, {"a": 2, "b": 1}, [1, 2])
    assert found.confidence == (0, 0, 0, 0, 0, 0, 1, 0, 0, 2)
    assert count_answers("c0ffee", [{"sha256": "1", "actual": "a", "predicted": "a"}]).confidence == ()
    ledger = Ledger(ledger_url)
    keep_reference(ledger, REFERENCE)
    keep_reference(ledger, replace(REFERENCE, revision="other"))
    assert references(ledger) == {7: REFERENCE}


@given(label=st.one_of(st.sampled_from(["</text><script>", "a & b", '"']), st.text("<>&\"'ab", min_size=1)))
def test_pictures_take_any_label_as_text(label: str) -> None:
    drawn = ElementTree.fromstring(shares([("pi-<1>", {label: 3, "b": 1}), ("nothing", {})]))
    assert label in [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]


def test_fleet_status_shows_devices_models_and_what_is_amiss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEMALOOP_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.delenv("HEMALOOP_LEDGER", raising=False)
    told = Report("pi-1", NOW + timedelta(days=400), "0.1.0", 7, "failed: [red]", classified={"monocyte": 8})
    told = replace(told, traffic=Traffic(9, 1, 10, 200), confidence=(0,) * (CONFIDENCE_BINS - 1) + (8,))
    old = Report("pi-2", NOW - timedelta(days=3), "0.1.0", None, "none", answers=(Answer("c", 7, "x", 1.0),))
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    with ledger.writing() as connection:
        from sqlalchemy import insert

        from hemaloop.ingest.schema import reports

        connection.execute(insert(reports), {"key": "k2", "device": "pi-2", "body": "{}", "received_at": NOW})
        add(connection, [Taken("k1", told, NOW), Taken("k2", old, NOW - timedelta(days=3))])
    keep(ledger, judge(fleet(ledger), [], {}, PARAMS), NOW)
    keep_reference(ledger, REFERENCE)

    def run(*line: str) -> str:
        with pytest.raises(SystemExit, match="0"):
            main(["fleet", "status", *line])
        return capsys.readouterr().out

    shown = run()
    for words in (
        "failed: [red]",
        "dated +34560000",
        "silent",
        "95%",
        "device:pi-1, self-test",
        "monocyte 8",
    ):
        assert words in shown
    found = json.loads(run("--json"))
    first, second = found["devices"]
    assert (first["device"], first["confidence"], first["drift"], first["silent"]) == ("pi-1", 0.95, 0.0, False)
    assert (second["version"], second["silent"], second["drift"]) == (None, True, None)
    assert [(model["version"], model["devices"]) for model in found["models"]] == [(7, 1)]
    assert found["alarms"][0]["told_at"] is None
