"""SQS, a real one on loopback: a message goes once it was handed over; what nobody can read goes too."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from notices import BUCKET, TEST_EVENT, Sleeper, by_sns, capture, captures, s3

from hemaloop.embedded import environment, free_port
from hemaloop.errors import ConfigError, TransientError
from hemaloop.notifications.gathering import Gathering
from hemaloop.notifications.sqs import MESSAGES, Queue, follow

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sqs() -> Iterator[Any]:
    """A client of an SQS that listens elsewhere than the bucket does."""
    import botocore.session
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    key = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    key |= {"AWS_MAX_ATTEMPTS": "1"}
    with environment(key):
        yield botocore.session.get_session().create_client("sqs", "us-east-1", endpoint_url=f"http://127.0.0.1:{port}")
    server.stop()


class Follower:
    """A queue that is followed by a thread of its own."""

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self.url = client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
        self.sleeper = Sleeper()
        self.gathering = Gathering(self.sleeper)
        self.stop = threading.Event()
        queue = Queue(self.url, poll_seconds=1)
        self.thread = threading.Thread(target=follow, args=(queue, self.gathering, BUCKET, self.stop))
        self.thread.start()

    def send(self, *bodies: bytes) -> None:
        for body in bodies:
            self.client.send_message(QueueUrl=self.url, MessageBody=body.decode())

    def left(self) -> int:
        """Messages in the queue, hidden ones too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(map(int, found.values()))

    def until(self, count: int) -> None:
        deadline = time.monotonic() + 15
        while self.left() != count:
            assert time.monotonic() < deadline, self.left()
            self.gathering.hand_over()
            time.sleep(0.05)


@pytest.fixture
def follower(sqs: Any, request: pytest.FixtureRequest) -> Iterator[Follower]:
    found = Follower(sqs, request.node.name[:60].replace("[", "-").replace("]", ""))
    yield found
    found.stop.set()
    found.thread.join(timeout=10)
    assert not found.thread.is_alive()


def test_what_s3_and_sns_say_is_heard_and_deleted(follower: Follower) -> None:
    follower.send(s3(capture(1)), by_sns(s3(capture(2))), s3(*captures([2, 3])), TEST_EVENT, s3(capture(4), bucket="x"))
    follower.until(0)
    assert sorted(set(follower.sleeper.heard)) == captures([1, 2, 3])


def test_what_nobody_can_read_is_said_and_does_not_come_for_ever(
    follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        follower.send(b"poison", json.dumps({"Records": "?"}).encode(), s3(capture(1)))
        follower.until(0)
    assert follower.sleeper.heard == [capture(1)]
    assert sum("a message is deleted" in record.getMessage() for record in caplog.records) == 2


def test_while_nobody_is_there_messages_stay_and_come_again(follower: Follower) -> None:
    follower.sleeper.away = True
    follower.gathering.add((capture(9),))
    follower.gathering.hand_over()  # now it is known
    follower.send(*(s3(key) for key in captures(range(25))))
    time.sleep(2)
    follower.gathering.hand_over()
    assert follower.left() == 25
    assert follower.gathering.held <= 1 + MESSAGES  # but for a fetch that was on, what nobody takes is not fetched
    follower.sleeper.away = False
    follower.until(0)
    assert set(follower.sleeper.heard) == {capture(9), *captures(range(25))}


def test_a_queue_that_is_not_there_is_said(sqs: Any) -> None:
    where = sqs.meta.endpoint_url
    with pytest.raises(ConfigError, match="correct --queue"):
        follow(Queue(f"{where}/123456789012/none"), Gathering(Sleeper()), BUCKET, threading.Event())
    for wrong in ("blood", "http://", "https://sqs.eu-central-1.amazonaws.com"):
        with pytest.raises(ConfigError, match="wanted an SQS URL"):
            Queue(wrong)


def test_sqs_may_be_elsewhere_than_its_url_says(sqs: Any) -> None:
    """AWS_ENDPOINT_URL is the bucket's, and AWS_ENDPOINT_URL_SQS goes before the URL's own host."""
    url = sqs.create_queue(QueueName="elsewhere")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=s3(capture(1)).decode())
    with environment({"AWS_ENDPOINT_URL_SQS": sqs.meta.endpoint_url}):
        queue = Queue("https://sqs.eu-central-1.amazonaws.com/123456789012/elsewhere", poll_seconds=1)
    with pytest.raises(TransientError, match="cannot be reached"):
        Queue("http://127.0.0.1:9/123456789012/elsewhere", poll_seconds=1).receive()
    assert queue._client.meta.endpoint_url == sqs.meta.endpoint_url
    assert queue._client.meta.region_name == "eu-central-1"
    assert [message.body for message in Queue(url, poll_seconds=1).receive()] == [s3(capture(1))]
