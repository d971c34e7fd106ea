"""Reports of devices: each is believed or refused, counts once, and is never read again."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from reporting_field import BINS, MINUTE, NOW, PARAMS, CountingBucket, Field, said
from sqlalchemy import insert, select

from hemaloop.ingest.fleet.collecting import Collected, collect
from hemaloop.ingest.fleet.reading import LARGEST
from hemaloop.ingest.fleet.table import fleet, predictions, refused_since, uses, who_ran
from hemaloop.ingest.forgotten_objects import remove_answers
from hemaloop.ingest.ledger import enter
from hemaloop.ingest.schema import reports
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import report_key
from hemaloop.protocol.report import Answer, RefusedUpdate, ShadowRun, Traffic


@pytest.fixture
def field(ledger_url: str, tmp_path: Path) -> Field:
    return Field(ledger_url, tmp_path)


def test_what_a_device_said_is_added_up_and_its_newest_report_is_its_state(field: Field) -> None:
    traffic = Traffic(frames=10, sent=4, sent_bytes=300, every_bytes=1000)
    shadow = ShadowRun(8, 3, 2, 1)
    told = said(NOW - MINUTE, uploaded=2, classified={"monocyte": 3}, traffic=traffic, shadow=shadow, confidence=BINS)
    field.report(told, said(uploaded=1, classified={"monocyte": 1, "basophil": 2}, traffic=traffic, latency_ms=9.5))
    assert field.collect() == Collected(2, 0)
    found = field.device()
    assert (found.reports, found.uploaded, found.classified, found.latency_ms) == (2, 3, 6, 9.5)
    assert (found.traffic_saved, found.version, found.self_test) == (0.7, 7, "passed")
    (use,) = uses(field.ledger, NOW - timedelta(days=1))
    assert (use.answers.predicted, use.answers.confidence) == ({"basophil": 2, "monocyte": 4}, BINS)
    assert use.shadows == {8: shadow}
    field.report(said(NOW + MINUTE, model_version=8, self_test="failed: golden 3", classified={"monocyte": 5}))
    assert field.collect() == Collected(1, 0)
    found = field.device()
    assert (found.version, found.self_test, found.classified, found.latency_ms) == (8, "failed: golden 3", 11, 9.5)
    assert [(ran.device, ran.images) for ran in who_ran(field.ledger, 7)] == [("pi-1", 6)]
    field.report(said(NOW + MINUTE + timedelta(seconds=1), model_version=8, classified={"monocyte": 2}))
    assert field.collect() == Collected(1, 0)
    assert uses(field.ledger, NOW - timedelta(days=1))[-1].answers.predicted == {"monocyte": 7}


def test_a_report_that_comes_again_counts_once_and_is_not_read_again(field: Field) -> None:
    field.report(said(uploaded=2))
    assert field.collect() == Collected(1, 0)
    field.report(said(uploaded=2))
    field.report(said(uploaded=5))  # the same time, other words: the first ones count
    field.bucket.was_read.clear()
    assert field.collect() == Collected()
    assert field.bucket.was_read == []
    assert field.device().uploaded == 2


def test_what_another_run_takes_meanwhile_counts_once(field: Field) -> None:
    class Overtaken(CountingBucket):
        def read_many(self, keys: Sequence[str]) -> dict[str, bytes | None]:
            assert field.collect() == Collected(1, 0)
            return super().read_many(keys)

    field.report(said(uploaded=2))
    assert collect(field.ledger, Overtaken(field.bucket.url), PARAMS, NOW) == Collected()
    assert (field.device().uploaded, field.device().reports) == (2, 1)


def test_a_report_that_comes_late_counts_and_does_not_turn_back_what_is_known(field: Field) -> None:
    field.report(said(model_version=8))
    field.collect()
    field.report(said(NOW - timedelta(hours=5), model_version=7, uploaded=3))
    assert field.collect() == Collected(1, 0)
    assert (field.device().version, field.device().uploaded) == (8, 3)


@pytest.mark.parametrize("year", [1970, 2099])
def test_a_wrong_clock_is_told_of_and_neither_hides_the_device_nor_freezes_it(field: Field, year: int) -> None:
    field.report(said(model_version=6))
    field.collect()
    field.report(said(NOW.replace(year=year, day=1), model_version=7, classified={"monocyte": 1}))
    assert field.collect() == Collected()  # no poll looks there
    later = datetime.now(UTC) + timedelta(seconds=PARAMS.look_seconds)
    assert field.collect(later) == Collected(1, 0)
    found = field.device()
    assert found.version == 7
    assert abs((found.last_seen - datetime.now(UTC)).total_seconds()) < 60
    assert abs(found.clock_ahead_s) > 10**9
    assert uses(field.ledger, NOW - timedelta(days=1))[-1].answers.predicted == {"monocyte": 1}
    field.report(said(datetime.now(UTC) + MINUTE, model_version=8))
    field.collect()
    assert field.device().version == 8


def test_polls_list_recent_days_and_all_now_and_then(field: Field) -> None:
    field.report(*(said(NOW - timedelta(days=days)) for days in range(40)))
    assert field.collect() == Collected(40, 0)
    field.bucket.listed.clear()
    field.collect()
    first = f"{datetime.now(UTC) - timedelta(days=3):%Y/%m/%d}/"
    assert field.bucket.listed == [("reports/pi-1/", f"reports/pi-1/{first}")]
    field.bucket.listed.clear()
    field.collect(datetime.now(UTC) + timedelta(hours=2))
    assert field.bucket.listed == [("reports/pi-1/", "")]


def forged(field: Field) -> dict[str, tuple[bytes, str]]:
    """Key -> what lies there, and what is said of it."""
    own, keys = "reports/pi-1/2026/11/20/", [report_key("pi-1", NOW + number * MINUTE) for number in range(1, 20)]
    at = [NOW + number * MINUTE for number in range(1, 20)]
    strange = "uploads/pi-2/2026/11/20/a.jpg"
    mine = json.loads(encode(said(at[10])))
    return {
        report_key("pi-2", NOW): (encode(said()), "it says that it belongs at reports/pi-1/"),
        f"{own}twice.json": (encode(said()), "it says that it belongs at"),
        keys[0]: (b" " * (LARGEST + 1), "wanted at most"),
        keys[1]: (b"not JSON", "not JSON"),
        keys[2]: (encode(said(at[2], uploaded=-1)), "uploaded: -1"),
        keys[3]: (encode(said(at[3], classified={"a\u0000b": 1})), "class"),
        keys[4]: (encode(said(at[4], latency_ms=float("nan"))), "latency_ms nan"),
        keys[5]: (encode(said(at[5], answers=(Answer(strange, 7, "x", 0.5),))), "is no capture of pi-1"),
        keys[6]: (encode(said(at[6], confidence=(1, 2))), "2 bins"),
        keys[7]: (encode(said(at[7], classified={"x": 10**30})), "wanted 0 to"),
        keys[8]: (encode(said(at[8], shadow=ShadowRun(8, 1, 2))), "2 of 1 images agreed"),
        keys[9]: (b"[" * 100_000, ""),
        keys[10]: (json.dumps(mine | {"from_tomorrow": 1}).encode(), "unknown fields"),
        keys[11]: (encode(said(at[11])).replace(b"2026-", b"0001-").replace(b"+00:00", b"+14:00"), ""),
        keys[12]: (encode(said(at[12])).replace(b'"0.1.0"', b'"\xff"'), ""),
    }


def test_forged_reports_are_refused_with_a_reason_read_once_and_hold_up_no_other(field: Field) -> None:
    lies = forged(field)
    for key, (body, _) in lies.items():
        field.bucket.write(key, body)
    field.report(said(self_test="failed: \u0000\x1b[31m" + "x" * 10_000))
    assert field.collect() == Collected(1, len(lies))
    refused = field.refused()
    assert refused.keys() == lies.keys()
    assert not [key for key, (_, words) in lies.items() if words not in refused[key]]
    assert field.device().refused_reports == len(lies) - 1
    assert field.device().self_test.isprintable()
    assert len(field.device().self_test) <= 500
    assert [each.device for each in fleet(field.ledger)] == ["pi-1"]
    field.bucket.was_read.clear()
    assert field.collect() == Collected()
    assert field.bucket.was_read == []


def test_a_report_too_large_is_not_even_read(field: Field) -> None:
    key = report_key("pi-1", NOW)
    field.bucket.write(key, b" " * (LARGEST + 1))
    assert field.collect() == Collected(0, 1)
    assert key not in field.bucket.was_read


def test_a_refused_report_is_looked_at_again_when_it_or_its_reader_changed(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = report_key("pi-1", NOW)
    field.bucket.write(key, b"not JSON")
    assert field.collect() == Collected(0, 1)
    monkeypatch.setattr("hemaloop.__version__", "99.0")
    assert field.collect() == Collected(0, 1)
    field.report(said())
    assert field.collect() == Collected(1, 0)


OLD = (
    '{"agent":"0.1.0","at":"%s","classified":{"monocyte":4},"device":"pi-1","latency_ms":8.0,"model_version":3,'
    '"refused_updates":[{"at":"2026-11-19T09:00:00+00:00","reason":"bad signature","version":4}],'
    '"self_test":"passed","unreadable":1,"uploaded":5}'
)


def test_reports_of_before_the_new_fields_still_count(field: Field) -> None:
    field.bucket.write(report_key("pi-1", NOW), (OLD % NOW.isoformat()).encode())
    assert field.collect() == Collected(1, 0)
    found = field.device()
    assert (found.version, found.uploaded, found.classified, found.traffic_saved) == (3, 5, 4, None)
    (refused,) = refused_since(field.ledger, NOW - timedelta(days=1))
    assert (refused.version, refused.reason) == (4, "bad signature")


def test_reports_that_the_ledger_had_before_there_were_sums_are_added_up_once(field: Field) -> None:
    earlier = NOW - timedelta(days=200)
    rows = [
        {"key": report_key("pi-1", at), "device": "pi-1", "body": OLD % at.isoformat()}
        for at in (earlier, earlier + MINUTE)
    ]
    broken = {"key": "reports/pi-9/1", "device": "pi-9", "body": "{}"}
    with field.ledger.writing() as connection:
        connection.execute(insert(reports), [*rows, broken])
    assert field.collect() == Collected(2, 1)
    assert (field.device().uploaded, field.device().last_seen) == (10, earlier + MINUTE)
    assert field.collect() == Collected()
    assert field.device().uploaded == 10
    assert list(field.refused()) == ["reports/pi-9/1"]


def test_an_answer_is_found_by_its_capture_and_kept_once(field: Field) -> None:
    key = "uploads/pi-1/2026/11/20/field-1.jpg"
    field.report(said(answers=(Answer(key, 7, "monocyte", 0.91), Answer("field-2", 7, "basophil", 0.5))))
    field.collect()
    by_name, by_key = predictions(field.ledger, "pi-1", "field-1"), predictions(field.ledger, "pi-1", key)
    assert by_name == by_key
    assert [(each.label, each.probability, each.version, each.key) for each in by_name] == [("monocyte", 0.91, 7, key)]
    assert [each.label for each in predictions(field.ledger, "pi-1", "field-2")] == ["basophil"]
    assert predictions(field.ledger, "pi-2", "field-1") == []
    with field.ledger.reading() as connection:
        assert "field-1" not in connection.execute(select(reports.c.body)).scalar_one()


def test_a_forgotten_upload_takes_its_answers_along_and_the_sums_stay(field: Field) -> None:
    keys = [f"uploads/pi-1/2026/11/20/field-{number}.jpg" for number in range(2)]
    for number, key in enumerate(keys):
        field.report(
            said(NOW + number * MINUTE, classified={"monocyte": 1}, answers=(Answer(key, 7, "monocyte", 0.9),))
        )
    field.collect()
    field.bucket.write(keys[0], b"x")
    with field.ledger.writing() as connection:
        enter(connection, field.bucket.url, list(field.bucket.list("uploads/")), "watch", NOW, {})
    theirs = [field.ledger.history(keys[0])[0].upload]
    assert remove_answers(field.ledger, field.bucket, theirs) == 1
    assert [len(predictions(field.ledger, "pi-1", key)) for key in keys] == [0, 1]
    assert [stored.key for stored in field.bucket.list("reports/")] == [report_key("pi-1", NOW + MINUTE)]
    assert field.collect() == Collected()
    assert field.device().classified == 2


def test_answers_count_for_the_model_that_gave_them_though_another_one_reports(field: Field) -> None:
    both = (Answer("a", 7, "monocyte", 0.91), Answer("b", 8, "basophil", 1.0), Answer("c", 8, "basophil", 0.5))
    field.report(said(model_version=8, classified={"monocyte": 1, "basophil": 2}, answers=both))
    field.report(said(NOW + MINUTE, model_version=8, classified={"monocyte": 10}, answers=both[:1]))  # not all of them
    field.collect()
    found = {use.answers.version: use.answers for use in uses(field.ledger, NOW - timedelta(days=1))}
    assert (found[7].predicted, found[8].predicted) == ({"monocyte": 1}, {"basophil": 2, "monocyte": 10})
    assert (found[7].confidence[9], found[8].confidence[9], found[8].confidence[5]) == (1, 1, 1)
    assert field.device().classified == 13


def test_refused_updates_are_kept_with_their_version(field: Field) -> None:
    field.report(said(refused_updates=(RefusedUpdate(NOW, 9, "latency 900 ms"), RefusedUpdate(NOW, None, "expired"))))
    field.collect()
    assert [(each.version, each.reason) for each in refused_since(field.ledger, NOW - MINUTE)] == [
        (9, "latency 900 ms"),
        (None, "expired"),
    ]
    assert field.device().refused_updates == 2
