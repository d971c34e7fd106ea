"""A line that cuts, slows, changes, redirects and refuses, before the real server; what an idle look costs on one."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cutting_proxy import CuttingProxy
from device_bench import Cloud, Pi, build, hold, new_pi

from hemaloop.device import pace
from hemaloop.device.agent import Agent
from hemaloop.device.home import utc_now
from hemaloop.device.journal import Journal
from hemaloop.device.transport import open_transport
from hemaloop.device.updates.update import Refused, Updated, UpToDate
from hemaloop.embedded import Server
from hemaloop.errors import ConfigError, HemaloopError, TransientError
from hemaloop.release.publish import refresh
from hemaloop.storage import Bucket

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Line:
    cloud: Cloud
    pi: Pi
    proxy: CuttingProxy


@pytest.fixture
def line(bucket_server: Server, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A device that runs release 1, and asks the server through the proxy."""
    cloud = hold(bucket, tmp_path / "keys")
    cloud.release(build(1))
    home = new_pi(cloud, tmp_path / "pi-1")
    with CuttingProxy(bucket_server.port) as proxy, Journal(home.journal) as journal:
        pi = Pi(home, home.read_settings(), journal)
        assert isinstance(pi.update(), Updated)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        yield Line(cloud, pi, proxy)


def http(status: str, body: bytes = b"", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


REPLIES = {
    "a captive portal's redirect": http("302 Found", headers="Location: http://127.0.0.1:1/login\r\n"),
    "a redirect to another host": http("307 Temporary Redirect", headers="Location: http://127.0.0.1:1/x\r\n"),
    "a captive portal's page": http("200 OK", b"<html>please log in</html>", "Content-Type: text/html\r\n"),
    "a server that is down": http("503 Service Unavailable", b"<Error><Code>SlowDown</Code></Error>"),
    "a server that refuses": http("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>"),
    "no HTTP at all": b"SSH-2.0-OpenSSH_9.6\r\n",
}


def attempt(pi: Pi) -> type[object]:
    """What a look ends with; any other error is a bug."""
    try:
        return type(pi.update())
    except HemaloopError as error:
        return type(error)


def test_whatever_answers_in_the_servers_place_the_working_slot_stays(line: Line) -> None:
    release(line.cloud, 2)
    before = line.pi.slots.active()
    for what, reply in REPLIES.items():
        line.proxy.reply = reply
        ended = attempt(line.pi)
        assert issubclass(ended, TransientError | ConfigError | Refused), what
        assert line.pi.slots.active() == before, what
        assert line.pi.answers("monocyte"), what
    line.proxy.reply = None
    assert isinstance(line.pi.update(), Updated)


def test_what_is_changed_on_its_way_is_not_taken(line: Line) -> None:
    bundle = build(2)
    line.cloud.release(bundle)
    before = line.pi.slots.active()
    for part in (0.2, 0.9):
        line.proxy.corrupt_at = int(len(line.cloud.bucket.read(line.cloud.object_of(bundle))) * part)
        assert attempt(line.pi) in (Refused, TransientError)
        assert line.pi.slots.active() == before
        assert line.pi.answers("monocyte")
    line.proxy.corrupt_at = None
    assert isinstance(line.pi.update(), Updated)


def test_a_line_too_slow_to_wait_for_is_given_up_and_goes_on_where_it_stopped(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = build(2)
    line.cloud.release(bundle)
    monkeypatch.setattr(pace, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(pace, "SLOWEST_BYTES_PER_S", 10**7)
    line.proxy.pause_seconds, line.proxy.step = 0.02, 2048
    with pytest.raises(TransientError, match="too slow"):
        line.pi.update()
    assert line.pi.answers("monocyte")
    (part,) = line.pi.home.downloads.glob("*.part")
    assert part.stat().st_size > 0
    line.proxy.pause_seconds = 0.0
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{line.proxy.port}")
    assert isinstance(line.pi.update(), Updated)


def test_an_idle_round_costs_one_request_and_no_more_than_two_kilobytes(line: Line) -> None:
    pi = line.pi
    transport_used = open_transport(pi.settings.bucket)
    agent = Agent(pi.home, pi.settings, pi.journal, transport_used, utc_now, threading.Event())
    assert agent.round().problems == ()
    line.proxy.forget()
    done = agent.round()
    assert (done.update, done.reported, done.problems) == ("release 1 is what the channel wants", 0, ())
    assert line.proxy.requests == 1
    assert line.proxy.sent + line.proxy.asked <= 2048, "headers and bodies, both ways"


def test_an_idle_look_sees_the_next_release_and_is_a_full_one_after_an_hour(line: Line) -> None:
    pi, proxy = line.pi, line.proxy
    assert pi.update() == UpToDate(1)
    proxy.forget()
    assert pi.update() == UpToDate(1)
    assert proxy.requests == 1
    assert pi.update(lambda: utc_now() + timedelta(hours=1)) == UpToDate(1)
    assert proxy.requests > 2
    release(line.cloud, 2)
    assert isinstance(pi.update(), Updated)


def test_an_idle_look_does_not_outlive_the_timestamp(line: Line) -> None:
    refresh(line.cloud.bucket, line.cloud.online, utc_now() - timedelta(days=30))
    assert isinstance(line.pi.update(), Refused)
    refresh(line.cloud.bucket, line.cloud.online, utc_now())
    assert line.pi.update() == UpToDate(1)
    assert isinstance(line.pi.update(lambda: utc_now() + timedelta(days=3650)), Refused)


@pytest.mark.parametrize("year", [1970, 2099])
def test_a_wrong_clock_stops_at_most_the_update(line: Line, year: int) -> None:
    release(line.cloud, 2)
    before = line.pi.slots.active()
    wrong = datetime(year, 1, 1, tzinfo=UTC)
    outcome = line.pi.update(lambda: wrong)
    if year == 2099:
        assert isinstance(outcome, Refused)
        assert "its clock is wrong" in outcome.reason
        assert line.pi.slots.active() == before
    else:  # expiry goes by the day on which the running release was made
        assert isinstance(outcome, Updated)
    assert line.pi.look("monocyte") == [True]
    assert isinstance(line.pi.update(), Updated | UpToDate)
    assert line.pi.slots.model().version == 2


def test_a_clock_that_was_set_back_does_not_bring_expired_metadata_back_to_life(line: Line) -> None:
    """Made on a day on which what the bucket says had long expired."""
    refresh(line.cloud.bucket, line.cloud.online, utc_now() - timedelta(days=30))
    assert isinstance(line.pi.update(lambda: datetime(1970, 1, 1, tzinfo=UTC)), Refused)


def release(cloud: Cloud, version: int) -> None:
    cloud.release(build(version))
