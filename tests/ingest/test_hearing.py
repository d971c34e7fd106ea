"""A look at a rollout reads sums: they say what the reports say, and no report is read again but those of one hour."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, update

from hemaloop.ingest.fleet import hearing
from hemaloop.ingest.fleet.collecting import hear_earlier
from hemaloop.ingest.fleet.hearing import Told, sum_up, told
from hemaloop.ingest.fleet.sums import Taken
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.schema import reports
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import report_key
from hemaloop.protocol.report import RefusedUpdate, Report, ShadowRun
from hemaloop.protocol.said import Said
from hemaloop.release.rollout.evidence import Heard, hear
from hemaloop.release.rollout.rule import State

BEGAN = datetime(2026, 11, 20, 12, 25, 30, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SINCE = datetime(2026, 11, 20, 9, tzinfo=UTC)
COUNTS = st.integers(0, 50)
VERSIONS = st.sampled_from([1, 2, 3])
REPORTS = st.builds(
    Report,
    st.sampled_from(["pi-1", "pi-2"]),
    st.just(BEGAN),
    st.just("1"),
    st.none() | VERSIONS,
    st.sampled_from(["passed", "failed: release 2: other answers", "failed: release 3: late"]),
    classified=st.dictionaries(st.sampled_from(["monocyte", "basophil"]), COUNTS),
    latency_ms=st.none() | st.floats(1, 500),
    refused_updates=st.just(()) | st.builds(
        lambda version: (RefusedUpdate(BEGAN, version, "it failed its self-test: late"),), VERSIONS
    ),
    channel=st.sampled_from(["stable", "canary"]),
    probation=st.sampled_from(["none", "passed", "failed: no answers", "returned: release 2: 3 images failed"]),
    failures=COUNTS,
    shadow=st.none() | st.builds(ShadowRun, VERSIONS, st.integers(5, 50), st.integers(0, 5), st.integers(0, 5)),
)  # fmt: skip
MINUTES = st.integers(-200, 300)


@pytest.fixture
def ledger(ledger_url: str) -> Ledger:
    return Ledger(ledger_url)


def state(channel: str) -> State:
    return State(channel, 2, 1, "salt", 100.0, since=BEGAN, counted_from=BEGAN, returnable=True)


def take(ledger: Ledger, received: Sequence[Report], summed: bool = True) -> None:
    """As reports are entered; each came at its own time."""
    taken = [Taken(report_key(each.device, each.at), each, each.at) for each in received]
    rows = [
        {"key": each.key, "device": each.report.device, "body": encode(each.report).decode()}
        | {"received_at": each.received, "heard": summed or None}
        for each in taken
    ]
    with ledger.writing() as connection:
        if rows:
            connection.execute(insert(reports), rows)
        if summed:
            sum_up(connection, taken)


def in_the_ledger(ledger: Ledger, channel: str) -> dict[str, Heard]:
    found = told(ledger, channel, SINCE, BEGAN)
    return hear(found.before, found.since, state(channel))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.dictionaries(MINUTES, REPORTS, max_size=12), st.integers(0, 12))
def test_sums_say_what_the_reports_say(tmp_path: Path, said: dict[int, Report], first: int) -> None:
    """In whatever order they are taken in, also those from before there were sums."""
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    with ledger.writing() as connection:
        for table in (hearing.heard_hours, hearing.heard_counts, reports):
            connection.execute(table.delete())
    came = [replace(report, at=BEGAN + minutes * MINUTE) for minutes, report in said.items()]
    take(ledger, came[:first])
    take(ledger, came[first:], summed=first % 2 == 0)
    hear_earlier(ledger)

    for channel in ("stable", "canary"):
        known = sorted(
            (each for each in came if each.channel == channel and each.at >= SINCE), key=lambda each: each.at
        )
        before = [Said.of(each) for each in known if each.at < BEGAN]
        since = [Said.of(each) for each in known if each.at >= BEGAN]
        assert in_the_ledger(ledger, channel) == hear(before, since, state(channel))


def test_a_look_reads_no_report_but_those_of_the_hour_in_which_it_began(ledger: Ledger) -> None:
    report = Report("pi-1", BEGAN, "1", 1, "passed", classified={"monocyte": 1}, channel="stable")
    hours = [-3, -2, -1, 0, 1, 2, 30]
    take(ledger, [replace(report, at=BEGAN + hour * HOUR) for hour in hours])
    with ledger.writing() as connection:
        outside = ~reports.c.received_at.between(BEGAN - 25 * MINUTE, BEGAN + 30 * MINUTE)
        assert connection.execute(update(reports).where(outside).values(body="unread")).rowcount == len(hours) - 1
    (heard,) = in_the_ledger(ledger, "stable").values()
    assert (heard.before.answered, heard.reports, heard.last) == (7, 4, BEGAN + 30 * HOUR)


@pytest.mark.parametrize("minutes", [0, 10])
def test_an_hour_that_began_on_the_stroke_counts_from_there(ledger: Ledger, minutes: int) -> None:
    moment = BEGAN.replace(minute=0, second=0)
    report = Report("pi-1", moment + minutes * MINUTE, "1", 1, "passed", channel="stable")
    take(ledger, [report])
    assert told(ledger, "stable", SINCE, moment) == Told((), (Said.of(report),))


def test_an_hour_grows_in_whatever_order_reports_come(ledger: Ledger) -> None:
    report = Report("pi-1", BEGAN, "1", 1, "passed", channel="stable", classified={"monocyte": 2}, failures=1)
    came = [(80, 5.0), (70, 9.0), (85, None), (60 + 130, 7.0), (130, 8.0)]
    newest = []
    for minutes, latency in came:
        take(ledger, [replace(report, at=BEGAN + minutes * MINUTE, latency_ms=latency)])
        (said,) = told(ledger, "stable", SINCE, BEGAN).since
        newest.append(said.latency_ms)
    assert newest == [5.0, 5.0, 5.0, 7.0, 7.0]
    assert (said.errors, said.labels) == (5, {"monocyte": 10})
    assert (said.reports, said.first, said.last) == (5, BEGAN + 70 * MINUTE, BEGAN + 190 * MINUTE)


def test_nothing_was_said(ledger: Ledger) -> None:
    assert told(ledger, "stable", SINCE, BEGAN) == Told((), ())
