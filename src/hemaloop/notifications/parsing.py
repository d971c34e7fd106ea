"""A store's notifications, as S3, MinIO and SNS write them, to keys of uploads."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

from hemaloop.errors import DataError
from hemaloop.protocol.keys import parse_upload_key

CREATED = "ObjectCreated:"
TEST = "s3:TestEvent"  # S3 sends it once, when notifications are set up
SIDECAR = ".json"


def arrived_keys(body: bytes, bucket: str) -> tuple[str, ...]:
    """Keys of the images and sidecars that a notification says have arrived in `bucket`, each once.

    Anything else that it speaks of (other buckets, other prefixes, removals) is left out.

    Raises:
        DataError: it is no notification.

    Source: "Event message structure", Amazon S3 User Guide; MinIO's `event.Log` is the same with two fields more.
    """
    message = _unwrapped(_parsed(body))
    if message.get("Event") == TEST:
        return ()
    records = message.get("Records")
    if not isinstance(records, list):
        raise DataError("notification: wanted an object with a list `Records`, as S3 and MinIO send it")
    return tuple(dict.fromkeys(_keys(records, bucket)))


def is_upload_part(key: str) -> bool:
    """Whether a key is that of an image in its place, or of its sidecar."""
    if key.endswith(SIDECAR):
        key = key.removesuffix(SIDECAR) + ".jpg"
    return parse_upload_key(key) is not None


def _keys(records: list[Any], bucket: str) -> Iterator[str]:
    for record in records:
        match record:
            case {"eventName": str(name), "s3": {"bucket": {"name": str(where)}, "object": {"key": str(encoded)}}}:
                key = unquote_plus(encoded)  # a space is a plus sign, a plus sign %2B
                if where == bucket and name.removeprefix("s3:").startswith(CREATED) and is_upload_part(key):
                    yield key


def _unwrapped(message: Any) -> dict[str, Any]:
    """What SNS put into an envelope, where S3 notifies a topic that a queue listens to."""
    if not isinstance(message, dict):
        raise DataError(f"notification: wanted a JSON object, got {type(message).__name__}")
    if message.get("Type") != "Notification" or not isinstance(message.get("Message"), str):
        return message
    inner = _parsed(message["Message"].encode(errors="replace"))
    if not isinstance(inner, dict):
        raise DataError(f"notification in an SNS envelope: wanted a JSON object, got {type(inner).__name__}")
    return inner


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(f"notification: not JSON: {error}") from error
