"""What the fleet's tables keep: old reports go, from the ledger and the bucket, and no sum changes by it."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from reporting_field import MINUTE, NOW, PARAMS, CountingBucket, Field, said
from sqlalchemy import Table, func, insert, select

from hemaloop.errors import TransientError
from hemaloop.ingest.fleet.collecting import Collected, collect
from hemaloop.ingest.fleet.keeping import drop_old
from hemaloop.ingest.fleet.parameters import FleetParams
from hemaloop.ingest.fleet.table import predictions, uses, who_ran
from hemaloop.ingest.schema import alarms, answers, counts, heard_counts, heard_hours, refused_updates, reports
from hemaloop.protocol.keys import report_key
from hemaloop.protocol.report import Answer, RefusedUpdate, Report

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LONG_AGO = NOW.replace(month=1, day=2, hour=3, minute=0, second=0) - 600 * DAY
REFUSED = (RefusedUpdate(LONG_AGO, 8, "no"),)


@pytest.fixture
def field(ledger_url: str, tmp_path: Path) -> Field:
    """Two hours of a day long ago, and today."""
    field = Field(ledger_url, tmp_path)
    for hours in (0, 5):
        answer = (Answer(f"a-{hours}", 7, "monocyte", 0.9),)
        come(field, said(LONG_AGO + hours * HOUR, classified={"monocyte": 1}, answers=answer, refused_updates=REFUSED))
    assert field.collect(LONG_AGO + DAY) == Collected(2, 0)
    come(field, said(NOW - MINUTE, classified={"monocyte": 1}, answers=(Answer("a-new", 7, "monocyte", 0.9),)))
    return field


def come(field: Field, report: Report) -> None:
    """It lies in the bucket since it was written."""
    field.report(report)
    path = Path(field.bucket.url.removeprefix("file://")) / report_key(report.device, report.at)
    os.utime(path, (report.at.timestamp(), report.at.timestamp()))


def rows(field: Field, table: Table) -> int:
    with field.ledger.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def hours_of(field: Field) -> list[datetime]:
    with field.ledger.reading() as connection:
        return list(connection.scalars(select(counts.c.hour).distinct().order_by(counts.c.hour)))


def test_old_reports_leave_the_ledger_and_the_bucket_and_every_sum_stays(field: Field) -> None:
    assert field.collect(NOW) == Collected(1, 0)
    device, (ran,) = field.device(), who_ran(field.ledger, 7)
    assert (device.reports, device.classified, device.refused_updates, ran.images) == (3, 3, 2, 3)
    assert ran.first == LONG_AGO
    assert (rows(field, reports), rows(field, answers), rows(field, heard_hours)) == (1, 1, 1)
    assert (rows(field, heard_counts), rows(field, refused_updates)) == (1, 0)
    assert [stored.key for stored in field.bucket.list("reports/")] == [report_key("pi-1", NOW - MINUTE)]
    assert (predictions(field.ledger, "pi-1", "a-0"), len(predictions(field.ledger, "pi-1", "a-new"))) == ([], 1)

    assert field.collect(NOW + DAY) == Collected()
    assert (field.device(), who_ran(field.ledger, 7)) == (device, [ran])


def test_the_hours_of_an_old_month_become_one_and_what_is_judged_keeps_its_hours(field: Field) -> None:
    for hours in (24, 26):
        come(field, said(NOW - hours * HOUR, classified={"monocyte": 2}))
    assert len(hours_of(field)) == 2
    field.collect(NOW)
    before = uses(field.ledger, NOW - PARAMS.judged)
    assert hours_of(field)[0] == LONG_AGO
    assert len(hours_of(field)) == 4
    drop_old(field.ledger, field.bucket, PARAMS.keep_days, NOW + DAY)
    assert (len(hours_of(field)), uses(field.ledger, NOW - PARAMS.judged)) == (4, before)


def test_a_run_that_dies_while_it_drops_is_made_good_by_the_next(field: Field) -> None:
    class Dying(CountingBucket):
        def delete(self, key: str) -> None:
            super().delete(key)
            raise TransientError("the line is cut")

    with pytest.raises(TransientError):
        collect(field.ledger, Dying(field.bucket.url), PARAMS, NOW)
    assert rows(field, reports) == 3, "what has left the bucket is known still, and what has not is not taken again"
    assert field.collect(NOW) == Collected()
    assert (rows(field, reports), field.device().reports, len(list(field.bucket.list("reports/")))) == (1, 3, 1)


def test_an_alarm_goes_when_it_was_closed_long_ago_and_what_is_open_stays(field: Field) -> None:
    alarm = {"subject": "device:pi-1", "kind": "drift", "detail": "", "opened_at": LONG_AGO}
    with field.ledger.writing() as connection:
        closed = [{**alarm, "closed_at": time} for time in (None, LONG_AGO, NOW)]
        connection.execute(insert(alarms), closed)
    field.collect(NOW)
    assert rows(field, alarms) == 2


@pytest.mark.parametrize(("judged_days", "keep_days"), [(7, 30), (60, 60), (7, 4000)])
def test_nothing_is_dropped_that_is_still_judged_or_may_still_come(judged_days: int, keep_days: int) -> None:
    with pytest.raises(ValueError, match="keep_days"):
        FleetParams(3, 3600, judged_days, 0.2, 0.1, 0.05, 24, keep_days)
