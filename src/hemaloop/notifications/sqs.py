"""The store's notifications from an SQS queue: S3's own, or by way of SNS."""

import logging
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hemaloop.errors import ConfigError, DataError, TransientError
from hemaloop.notifications.gathering import Gathering
from hemaloop.notifications.parsing import arrived_keys

log = logging.getLogger(__name__)

LONGEST_POLL = 10  # seconds; 20 is SQS's own limit
MESSAGES = 10  # in one answer, SQS's own limit
RETRY_SECONDS = 5.0

# What trying again does not mend.
_REFUSALS = ("AccessDenied", "InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClient", "InvalidSecurity")


@dataclass(frozen=True)
class Message:
    receipt: str
    body: bytes


class Queue:
    """An SQS queue by its URL. It may be elsewhere than the bucket: its address is AWS_ENDPOINT_URL_SQS, or the URL's.

    Raises (any method):
        ConfigError: the queue is not there, or refuses our key.
        TransientError: it cannot be reached, or failed on its side.
    """

    def __init__(self, url: str, poll_seconds: int = LONGEST_POLL) -> None:
        import botocore.session  # seconds; not for `--help`

        place = urlsplit(url)
        if place.scheme not in ("http", "https") or not place.netloc or place.path in ("", "/"):
            raise ConfigError(f"queue {url!r}: wanted an SQS URL, https://sqs.REGION.amazonaws.com/ACCOUNT/NAME")
        self.url = url
        self._poll_seconds = poll_seconds
        self._client = botocore.session.get_session().create_client(
            "sqs",
            region_name=_region(place.netloc),
            endpoint_url=os.environ.get("AWS_ENDPOINT_URL_SQS") or f"{place.scheme}://{place.netloc}",
        )

    def receive(self) -> list[Message]:
        """Up to ten messages; waits for the first for up to `poll_seconds`."""
        found = self._call("receive_message", MaxNumberOfMessages=MESSAGES, WaitTimeSeconds=self._poll_seconds).get(
            "Messages", []
        )
        return [Message(message["ReceiptHandle"], message["Body"].encode()) for message in found]

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete up to ten messages."""
        entries = [{"Id": str(index), "ReceiptHandle": each.receipt} for index, each in enumerate(messages)]
        for failed in self._call("delete_message_batch", Entries=entries).get("Failed", []):
            log.info("a message could not be deleted, and will come again: %s", failed.get("Message", failed))

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            answer: dict[str, Any] = getattr(self._client, operation)(QueueUrl=self.url, **arguments)
            return answer
        except NoCredentialsError as error:
            raise ConfigError(f"queue {self.url}: no key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from error
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
                raise ConfigError(f"queue {self.url} is not there: create it, or correct --queue") from error
            if any(refusal in code for refusal in _REFUSALS):
                raise ConfigError(
                    f"queue {self.url} refuses our key ({code}): it needs sqs:ReceiveMessage and sqs:DeleteMessage"
                ) from error
            raise TransientError(f"queue {self.url}: {error}") from error
        except BotoCoreError as error:
            raise TransientError(f"queue {self.url} cannot be reached: {error}") from error


def follow(queue: Queue, gathering: Gathering, bucket: str, stop: threading.Event) -> None:
    """Fetch messages until `stop`; each is deleted once its keys were handed over, or when it is none of ours.

    Raises: ConfigError: the queue is not there, or refuses our key.
    """
    away = False
    while not stop.is_set():
        if not gathering.has_room:
            stop.wait(1.0)
            continue
        try:
            _take(queue, gathering, bucket, queue.receive())
            away = False
        except TransientError as error:
            if not away:
                log.warning("%s; tried again each %g seconds", error, RETRY_SECONDS)
            away = True
            stop.wait(RETRY_SECONDS)


def _take(queue: Queue, gathering: Gathering, bucket: str, messages: Sequence[Message]) -> None:
    keys: dict[str, None] = {}
    ours: list[Message] = []
    others: list[Message] = []
    for message in messages:
        found = _keys(message, bucket)
        keys |= dict.fromkeys(found)
        (ours if found else others).append(message)
    if ours:
        gathering.add(tuple(keys), lambda: _delete(queue, ours))
    if others:
        queue.delete(others)


def _keys(message: Message, bucket: str) -> tuple[str, ...]:
    """A message that nobody can read is said to be so, and deleted: else it would come for ever."""
    try:
        return arrived_keys(message.body, bucket)
    except DataError as error:
        log.warning("a message is deleted: %s: %.200r", error, message.body)
        return ()


def _delete(queue: Queue, messages: Sequence[Message]) -> None:
    """Not deleted, they only come again."""
    try:
        queue.delete(messages)
    except (ConfigError, TransientError) as error:
        log.warning("%d messages could not be deleted, and will come again: %s", len(messages), error)


def _region(host: str) -> str:
    named = re.match(r"sqs\.([a-z0-9-]+)\.amazonaws\.", host)
    return named[1] if named else os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
