"""A server that sends a byte now and then would hold a device up for ever: it is left, and asked again later.

The attack is TUF's slow retrieval. The socket's own time-out does not see it, for it begins anew with each byte.
"""

import time
from collections.abc import Iterator
from typing import Any

from hemaloop.errors import TransientError

GRACE_SECONDS = 60.0  # in which any pace will do: a first byte may take long
SLOWEST_BYTES_PER_S = 1024  # on average, from then on


def is_too_slow(received: int, seconds: float, grace: float = GRACE_SECONDS) -> bool:
    """Whether a download of `received` bytes in `seconds` is worth no more waiting."""
    return seconds > grace and received < SLOWEST_BYTES_PER_S * seconds


def read_in_time(body: Any, length: int) -> Iterator[bytes]:
    """The bytes of an answer as they arrive, not gathered to chunks.

    Args:
        body: botocore's. length: bytes at a time, at most.

    Raises:
        TransientError: they come too slowly, or end too soon.
    """
    start, received = time.monotonic(), 0
    while data := _next(body, length):
        received += len(data)
        yield data
        seconds = time.monotonic() - start
        if is_too_slow(received, seconds, GRACE_SECONDS):
            raise TransientError(f"{received} bytes in {seconds:.0f} s: too slow to wait for")
    if body._content_length is not None and received != int(body._content_length):
        raise TransientError(f"cut off after {received} of {body._content_length} bytes")


def _next(body: Any, length: int) -> bytes:
    """What is there; botocore's own `read` waits until it has `length`."""
    from urllib3.exceptions import HTTPError

    try:
        return bytes(body._raw_stream.read1(length))
    except HTTPError as error:
        raise TransientError(f"the answer broke off: {error}") from error
