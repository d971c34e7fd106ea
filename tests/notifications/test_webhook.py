"""The webhook over real HTTP: who may wake us, with what, and what the store is told."""

import http.client
import json
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from notices import BUCKET, Sleeper, capture, captures, minio, s3

from hemaloop.embedded import free_port
from hemaloop.errors import ConfigError, TransientError
from hemaloop.notifications.gathering import Bounds, Gathering
from hemaloop.notifications.listening import listen
from hemaloop.notifications.webhook import LARGEST_BODY, PATH, application

TOKEN = "a-shared-secret"
GOOD = {"Authorization": f"Bearer {TOKEN}"}


class Hook:
    """The server, who is woken by it, and a store's way to speak to it."""

    def __init__(self, port: int, sleeper: Sleeper, gathering: Gathering) -> None:
        self.port = port
        self.sleeper = sleeper
        self.gathering = gathering

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def notify(self, body: bytes, headers: dict[str, str] | None = None) -> int:
        return self.ask("POST", PATH, body, GOOD if headers is None else headers)[0]

    def heard(self) -> list[str]:
        """What a wake-up now hands over."""
        self.sleeper.heard.clear()
        self.gathering.hand_over()
        return self.sleeper.heard


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    sleeper = Sleeper()
    gathering = Gathering(sleeper, bounds=Bounds(held=100))
    port = free_port()
    config = uvicorn.Config(application(gathering, BUCKET, TOKEN), port=port, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Hook(port, sleeper, gathering)
    server.should_exit = True
    thread.join(timeout=10)


def test_a_stores_notification_is_heard(hook: Hook) -> None:
    assert hook.notify(minio(capture(1))) == 200
    assert hook.notify(s3(*captures(range(3)))) == 200
    assert sorted(hook.heard()) == captures(range(3))


def test_other_buckets_and_prefixes_are_well_and_wake_nobody(hook: Hook) -> None:
    assert hook.notify(s3(capture(1), bucket="another")) == 200
    assert hook.notify(s3("reports/pi-1/2026/01/31/a.json")) == 200
    assert hook.heard() == []


@pytest.mark.parametrize(
    "told", ["", "Bearer ", "Bearer wrong", TOKEN, f"bearer {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_without_the_token_nobody_is_woken(hook: Hook, told: str) -> None:
    assert hook.notify(s3(capture(1)), {"Authorization": told} if told else {}) == 401
    assert hook.heard() == []


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", 400), (b"{", 400), (b"{}", 400), (b"\xff\xfe", 400), (b" " * (LARGEST_BODY + 1), 413)],
)
def test_what_is_no_notification_is_refused(hook: Hook, body: bytes, code: int) -> None:
    assert hook.notify(body) == code
    assert hook.heard() == []


def test_a_body_without_a_stated_length_is_bounded_too(hook: Hook) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", hook.port, timeout=10)
    connection.request("POST", PATH, (b" " * 65536 for _ in range(17)), GOOD, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_while_nobody_is_there_the_store_is_asked_to_come_again(hook: Hook) -> None:
    assert json.loads(hook.ask("GET", "/health")[1]) == {"prefect": "reachable", "hints_held": 0}
    assert hook.notify(s3(capture(1))) == 200
    hook.sleeper.away = True
    try:
        assert hook.heard() == []
        assert hook.notify(s3(capture(2))) == 503
        assert hook.ask("GET", "/health") == (200, '{"prefect":"away","hints_held":2}')
    finally:
        hook.sleeper.away = False
    assert hook.heard() == captures([1, 2])
    assert hook.notify(s3(capture(2))) == 200
    assert hook.heard() == [capture(2)]


def test_a_store_that_says_more_than_is_held_is_asked_to_come_again(hook: Hook) -> None:
    assert hook.notify(s3(*captures(range(100)))) == 200
    assert hook.notify(s3(capture(100))) == 503
    assert len(hook.heard()) == 100


def test_what_ends_a_thread_ends_the_watch() -> None:
    def refuse(keys: tuple[str, ...]) -> bool:
        raise ConfigError("no such deployment")

    gathering = Gathering(refuse)
    gathering.add(("a",))
    with pytest.raises(ConfigError, match="no such deployment"):
        listen(gathering, BUCKET, "127.0.0.1", free_port(), TOKEN, None)


def test_a_port_that_is_taken_is_said(hook: Hook) -> None:
    with pytest.raises(TransientError, match="choose a --port"):
        listen(Gathering(hook.sleeper), BUCKET, "127.0.0.1", hook.port, TOKEN, None)
