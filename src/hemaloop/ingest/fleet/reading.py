"""A report as its device wrote it: read with distrust, for any device may be broken, stolen or lying."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from hemaloop.errors import DataError
from hemaloop.protocol.documents import decode
from hemaloop.protocol.keys import UPLOADS, must_be_name, report_key
from hemaloop.protocol.report import CONFIDENCE_BINS, Report

LARGEST = 4 * 2**20  # bytes of a report
_MOST = 10**12  # of anything that is counted
_LONGEST = 500  # characters of a text
_CLASSES = 100
_AHEAD = timedelta(days=1)  # a clock further ahead of the store's is not believed ...
_BEHIND = timedelta(days=30)  # ... nor one further behind: a report may wait that long for a network


def read_report(key: str, body: bytes) -> Report:
    """The report that lies at `key`. Raises: DataError: it is none, or says what it must not."""
    if len(body) > LARGEST:
        raise too_large(len(body))
    report = decode(body, Report)
    _check_place(report, key)
    for problem in _problems(report):
        raise DataError(problem)
    return report


def too_large(size: int) -> DataError:
    return DataError(f"{size} bytes: wanted at most {LARGEST}")


def written_at(said: datetime, received: datetime) -> datetime:
    """When a report was written: what the device says, where that may be; else when the store got it."""
    believed = received - _BEHIND <= said <= received + _AHEAD
    return min(said, received) if believed else received


def plain(text: str) -> str:
    """A device's words, so that every database and terminal takes them."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST])


def _check_place(report: Report, key: str) -> None:
    """A device may speak for itself alone, and once: its name and its time are in the key."""
    must_be_name("device", report.device)
    try:
        for time in (report.at, *(refused.at for refused in report.refused_updates)):
            time.astimezone(UTC)
        own = report_key(report.device, report.at)
    except OverflowError as error:
        raise DataError(f"time {report.at.isoformat()}: {error}") from error
    if key != own:
        raise DataError(f"it says that it belongs at {own}")


def _problems(report: Report) -> Iterator[str]:
    yield from _bad_counts(report)
    if len(report.classified) > _CLASSES:
        yield f"{len(report.classified)} classes: wanted at most {_CLASSES}"
    labels = {*report.classified, *(answer.label for answer in report.answers)}
    if bad := [label for label in labels if not label.isprintable() or not 1 <= len(label) <= 100]:
        yield f"class {bad[0]!r}: wanted 1 to 100 printable characters"
    if report.confidence and len(report.confidence) != CONFIDENCE_BINS:
        yield f"confidence: {len(report.confidence)} bins, wanted {CONFIDENCE_BINS}"
    if report.latency_ms is not None and not 0 <= report.latency_ms < math.inf:
        yield f"latency_ms {report.latency_ms}: wanted 0 or more"
    if any(not 0 <= answer.probability <= 1 for answer in report.answers):
        yield "answers: a probability is not between 0 and 1"
    if strange := [answer.capture for answer in report.answers if _is_strange(answer.capture, report.device)]:
        yield f"answers: {strange[0]!r} is no capture of {report.device}"
    if report.shadow is not None and report.shadow.agreed > report.shadow.images:
        yield f"shadow: {report.shadow.agreed} of {report.shadow.images} images agreed"


def _bad_counts(report: Report) -> Iterator[str]:
    for name, count in _counts(report):
        if not 0 <= count <= _MOST:
            yield f"{name}: {count}, wanted 0 to {_MOST}"


def _counts(report: Report) -> Iterator[tuple[str, int]]:
    yield from ((name, getattr(report, name)) for name in ("uploaded", "unreadable", "failures", "dropped"))
    yield from report.classified.items()
    yield from (("confidence", count) for count in report.confidence)
    yield from vars(report.shadow).items() if report.shadow else ()
    yield from vars(report.traffic).items() if report.traffic else ()
    yield from (("answers.version", answer.version) for answer in report.answers)
    versions = (report.model_version, *(refused.version for refused in report.refused_updates))
    yield from (("version", version) for version in versions if version is not None)


def _is_strange(capture: str, device: str) -> bool:
    foreign = capture.startswith(UPLOADS) and not capture.startswith(f"{UPLOADS}{device}/")
    return foreign or not capture.isprintable() or not 1 <= len(capture) <= _LONGEST
