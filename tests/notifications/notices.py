"""Notifications as the stores write them."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote_plus

from hemaloop.errors import TransientError

BUCKET = "blood"


def record(key: str, bucket: str = BUCKET, event: str = "ObjectCreated:Put") -> dict[str, Any]:
    """One record of S3's; MinIO's begin their events with s3:."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": event,
        "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key), "size": 1024}},
    }


def s3(*keys: str, bucket: str = BUCKET, event: str = "ObjectCreated:Put") -> bytes:
    return json.dumps({"Records": [record(key, bucket, event) for key in keys]}).encode()


def minio(key: str, bucket: str = BUCKET) -> bytes:
    event = "s3:ObjectCreated:CompleteMultipartUpload"
    body = {"EventName": event, "Key": f"{bucket}/{key}", "Records": [record(key, bucket, event)]}
    return json.dumps(body).encode()


def by_sns(body: bytes) -> bytes:
    return json.dumps({"Type": "Notification", "MessageId": "1", "Message": body.decode()}).encode()


TEST_EVENT = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}).encode()


def capture(number: int, suffix: str = ".jpg") -> str:
    """The capture of a device that has only one, so that it is in a folder of its own."""
    return f"uploads/pi-{number}/2026/01/31/field{suffix}"


def captures(numbers: Sequence[int]) -> list[str]:
    return [capture(number) for number in numbers]


class Sleeper:
    """Who is to be woken, while not away."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.away = False

    def __call__(self, keys: tuple[str, ...]) -> bool:
        if self.away:
            raise TransientError("nobody is there")
        self.heard += keys
        return True
