"""Bytes to and from the bucket: s3:// through botocore, file:// through a folder."""

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from hemaloop.device.pace import read_in_time
from hemaloop.errors import ConfigError, TransientError
from hemaloop.files import write_atomically

CHUNK = 64 * 1024  # bytes
CONNECT_SECONDS = 10
READ_SECONDS = 30

# What a store says when the device's key, not the object, is the matter.
REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "403"}


class RefusedKeyError(ConfigError):
    """The store refuses our key for an object; or the object is not there, and our key may not list what is."""


class Transport(Protocol):
    """The two things that a device does with the bucket.

    Raises (both):
        ConfigError: the bucket is not there, or refuses our key.
        TransientError: it cannot be reached, or failed on its side.
    """

    def put(self, key: str, data: bytes) -> None:
        """Write an object; the same object again is no error."""

    def read(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        """Bytes start..stop-1 of an object, or as many as there are; never more.

        Raises: FileNotFoundError: there is no object with that key.
        """


def open_transport(url: str) -> Transport:
    """The transport to a bucket, s3://NAME or file:///FOLDER; nothing is sent yet."""
    if url.startswith("file:///"):
        return FolderTransport(Path(url.removeprefix("file://")))
    return S3Transport(url.removeprefix("s3://"))


class FolderTransport:
    """A bucket that is a folder, as on a shared disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, key: str, data: bytes) -> None:
        with self._translated():
            write_atomically(self._folder / key, data)

    def read(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        with self._translated(), (self._folder / key).open("rb") as stream:
            stream.seek(start)
            while start < stop and (chunk := stream.read(min(CHUNK, stop - start))):
                start += len(chunk)
                yield chunk

    @contextmanager
    def _translated(self) -> Iterator[None]:
        if not self._folder.is_dir():
            raise ConfigError(f"bucket file://{self._folder}: there is no such folder: mount it, or mend device.toml")
        try:
            yield
        except FileNotFoundError:
            raise
        except PermissionError as error:
            raise ConfigError(f"bucket file://{self._folder} refuses us: {error}") from error
        except OSError as error:
            raise TransientError(f"bucket file://{self._folder}: {error}") from error


class S3Transport:
    """A bucket on an S3 store; address and key come from the standard AWS_* environment variables."""

    def __init__(self, bucket: str) -> None:
        import botocore.session
        from botocore.config import Config

        self._bucket = bucket
        session = botocore.session.get_session()
        session.register_component("data_loader", _descriptions())
        self._client = session.create_client(
            "s3",
            region_name=session.get_config_variable("region") or "us-east-1",
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": 2, "mode": "standard"},
                # Stores other than AWS serve few names but their own, and know few of the newer checksums.
                s3={"addressing_style": "path" if os.environ.get("AWS_ENDPOINT_URL") else "auto"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        self._client.meta.events.register_first("needs-retry.s3", _stop_at_redirects)

    def put(self, key: str, data: bytes) -> None:
        digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        with self._translated(key):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentMD5=digest)

    def read(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        if start >= stop:
            return
        with self._translated(key):
            body, skip = self._open(key, start, stop)
            if body is None:
                return
            left = stop - start
            try:
                for chunk in _after(skip, read_in_time(body, CHUNK)):
                    yield chunk[:left]
                    left -= len(chunk)
                    if left <= 0:
                        return
            finally:
                body.close()

    def _open(self, key: str, start: int, stop: int) -> tuple[Any, int]:
        """The body, and how many of its bytes come before `start`; no body: the range begins behind the end."""
        from botocore.exceptions import ClientError

        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={start}-{stop - 1}")
        except ClientError as error:
            if _code(error) in ("InvalidRange", "416"):
                return None, 0
            raise
        # The header tells, not the status: `rclone serve s3` answers 200 to a range that it obeys.
        return answer["Body"], 0 if "ContentRange" in answer else start

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        import botocore.exceptions as s3

        where = f"bucket s3://{self._bucket} at {os.environ.get('AWS_ENDPOINT_URL', 'AWS')}"
        try:
            yield
        except s3.ClientError as error:
            raise _translate(error, where, key) from error
        except (s3.NoCredentialsError, s3.PartialCredentialsError) as error:
            raise ConfigError(f"{where}: no key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from error
        except (s3.HTTPClientError, s3.ConnectionError, s3.IncompleteReadError) as error:
            raise TransientError(f"{where} cannot be reached: {error}") from error
        except s3.BotoCoreError as error:
            raise ConfigError(f"{where}: {error}") from error


@lru_cache(maxsize=1)
def _descriptions() -> Any:
    """What botocore knows of AWS's services, read once a process: it is nearly all that a client costs."""
    import botocore.session

    return botocore.session.get_session().get_component("data_loader")


def _stop_at_redirects(response: Any, **_: Any) -> None:
    """S3 says in a header where a bucket is. Any other redirect is from something on the line, such as a log-in page:
    botocore would ask it for the bucket's region, be redirected, ask again, until Python's stack is full.
    """
    answer = response[0] if response else None
    if answer is not None and answer.status_code in (301, 302, 307) and "x-amz-bucket-region" not in answer.headers:
        raise TransientError(
            f"{answer.status_code}: we are sent elsewhere, which S3 does not do: is there a log-in page?"
        )


def _after(skip: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if len(chunk) > skip:
            yield chunk[skip:]
        skip = max(0, skip - len(chunk))


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _translate(error: Any, where: str, key: str) -> Exception:
    code = _code(error)
    if code in ("NoSuchKey", "404", "NotFound"):
        return FileNotFoundError(f"{where} has no {key}")
    if code == "NoSuchBucket":
        return ConfigError(f"{where} is not there: create it, or mend `bucket` in device.toml")
    if code == "RequestTimeTooSkewed":
        return TransientError(f"{where}: this device's clock is wrong ({error}): wait for its time to be set")
    if code in REFUSED:
        return RefusedKeyError(
            f"{where} refuses our key for {key} ({code}): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return TransientError(f"{where}: {key}: {error}")
