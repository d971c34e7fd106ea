"""Objects in a folder, and objects on an S3 store: what `storage.Bucket` stands on.

S3 through s3fs, one filesystem a process, whose calls many threads may make at once: it waits for them all in a loop
of its own. An object is first asked for plainly, in the thread that wants it, which costs a third (docs/adr/0013).
"""

import base64
import hashlib
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from hemaloop.errors import ConfigError, TransientError
from hemaloop.files import write_atomically
from hemaloop.plain_reader import Access, Body, PlainReader, plain_reader

log = logging.getLogger(__name__)

CONNECTIONS = 32
CONNECT_SECONDS = 10
READ_SECONDS = 30  # without a byte
_FIRST_REGION = "us-east-1"  # where a bucket is unless it says otherwise
BODY_TRIES = 3  # botocore itself tries again only up to the headers

# What a store says when our key, not the object, is the matter.
_REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "403"}
_MISSING = {"NoSuchKey", "NotFound", "404"}
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Fetched:
    """An object as it was read, whole."""

    data: bytes
    etag: str  # of just these bytes; as a listing has it


class Store(Protocol):
    """Raises (any method): ConfigError, TransientError; FileNotFoundError where an object is not there."""

    def check(self) -> None: ...
    def create(self) -> None: ...
    def fetch(self, key: str) -> Fetched: ...
    def write(self, key: str, data: bytes) -> None: ...
    def exists(self, key: str) -> bool: ...
    def delete(self, key: str) -> None: ...
    def copy(self, source: str, target: str) -> None: ...


class FolderStore:
    """A bucket that is a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check(self) -> None:
        if not self._folder.is_dir():
            raise ConfigError(
                f"bucket file://{self._folder}: there is no such folder: create it, or set HEMALOOP_BUCKET"
            )

    def create(self) -> None:
        with translated(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)

    def fetch(self, key: str) -> Fetched:
        with translated(self._folder), (self._folder / key).open("rb") as stream:
            return Fetched(stream.read(), folder_etag(os.fstat(stream.fileno())))

    def write(self, key: str, data: bytes) -> None:
        with translated(self._folder):
            write_atomically(self._folder / key, data)

    def exists(self, key: str) -> bool:
        return (self._folder / key).is_file()

    def delete(self, key: str) -> None:
        with translated(self._folder):
            (self._folder / key).unlink()

    def copy(self, source: str, target: str) -> None:
        self.write(target, self.fetch(source).data)


class S3Store:
    """A bucket on an S3 store; address and key come from the standard AWS_* environment variables."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._access = _access()

    @property
    def _fs(self) -> Any:
        # By process: connections do not survive a fork.
        return _filesystem(os.getpid(), self._access)

    @property
    def _plain(self) -> PlainReader:
        return plain_reader(os.getpid(), self._bucket, self._access)

    def check(self) -> None:
        self._call("head_bucket")

    def create(self) -> None:
        try:
            self.check()
        except ConfigError:
            region = self._access.region
            elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}}
            self._call("create_bucket", **({} if region == _FIRST_REGION else elsewhere))

    def fetch(self, key: str) -> Fetched:
        """The whole object: a body that is cut short or damaged on its way is read again."""
        before = ""
        for number in range(BODY_TRIES):
            plainly = number == 0 and self._plain.usable
            body = self._plain.get(key) if plainly else self._get(key)
            if body is None:
                continue
            data, etag = body
            found = hashlib.md5(data, usedforsecurity=False).hexdigest()
            # Some stores' ETags look like the MD5 that they are not; then the same bytes come twice.
            if not _MD5.fullmatch(etag) or found in (etag, before):
                return Fetched(data, etag)
            before = found
        raise TransientError(f"s3://{self._bucket}/{key}: its body was cut short or damaged {BODY_TRIES} times")

    def _get(self, key: str) -> Body | None:
        """An object's body and ETag by s3fs; None: it was cut short on its way."""
        from fsspec.asyn import sync
        from s3fs.core import S3_RETRYABLE_ERRORS

        with self._translated(key):
            try:
                body: Body = sync(self._fs.loop, self._get_there, key)
            except S3_RETRYABLE_ERRORS as error:
                log.info("%s was cut short on its way (%s)", key, error)
                return None
            return body

    async def _get_there(self, key: str) -> Body:
        """The same, in s3fs's loop."""
        answer = await self._fs._call_s3("get_object", Bucket=self._bucket, Key=key)
        async with answer["Body"] as body:
            return bytes(await body.read()), str(answer.get("ETag", "")).strip('"')

    def write(self, key: str, data: bytes) -> None:
        digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        self._call("put_object", key, Body=data, ContentMD5=digest)

    def exists(self, key: str) -> bool:
        try:
            self._call("head_object", key)
        except FileNotFoundError:
            return False
        return True

    def delete(self, key: str) -> None:
        self._call("delete_object", key)

    def copy(self, source: str, target: str) -> None:
        self._call("copy_object", target, CopySource={"Bucket": self._bucket, "Key": source})

    def list_page(self, **options: Any) -> dict[str, Any]:
        """One answer to LIST (ListObjectsV2)."""
        with self._translated(""):
            return dict(self._fs.call_s3("list_objects_v2", Bucket=self._bucket, **options))

    def _call(self, operation: str, key: str = "", /, **options: Any) -> None:
        if key:
            options["Key"] = key
        with self._translated(key):
            self._fs.call_s3(operation, Bucket=self._bucket, **options)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        import botocore.exceptions as s3

        where = f"bucket s3://{self._bucket} at {os.environ.get('AWS_ENDPOINT_URL', 'AWS')}"
        try:
            yield
        except (s3.NoCredentialsError, s3.PartialCredentialsError) as error:
            raise ConfigError(f"{where}: no key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from error
        except (s3.HTTPClientError, s3.ConnectionError, s3.IncompleteReadError) as error:
            raise TransientError(f"{where} cannot be reached: {error}") from error
        except s3.BotoCoreError as error:
            raise ConfigError(f"{where}: {error}") from error
        except OSError as error:  # s3fs makes one of the store's answer, which it names as the cause
            if isinstance(error.__cause__, s3.ClientError):
                raise _translate(error.__cause__, where, key) from error
            raise TransientError(f"{where} cannot be reached: {error}") from error


def _access() -> Access:
    get = os.environ.get
    return Access(
        get("AWS_ENDPOINT_URL"), get("AWS_REGION") or get("AWS_DEFAULT_REGION") or _FIRST_REGION,
        get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY"), get("AWS_SESSION_TOKEN"), get("AWS_MAX_ATTEMPTS"),
        CONNECTIONS, CONNECT_SECONDS, READ_SECONDS,
    )  # fmt: skip


@lru_cache(maxsize=8)
def _filesystem(_process: int, access: Access) -> Any:
    """One a process and access: making one takes a tenth of a second, and it keeps connections open."""
    import s3fs

    fs = s3fs.S3FileSystem(
        endpoint_url=access.endpoint,
        key=access.key,
        secret=access.secret,
        token=access.token,
        use_listings_cache=False,
        skip_instance_cache=True,
        client_kwargs={"region_name": access.region},
        config_kwargs={
            "connect_timeout": access.connect_seconds,
            "read_timeout": access.read_seconds,
            "max_pool_connections": access.connections,
            "retries": {"mode": "standard"},  # 5xx, throttling and lost connections; as often as AWS_MAX_ATTEMPTS says
            # Stores other than AWS serve few names but their own, and know few of the newer checksums.
            "s3": {"addressing_style": "path" if access.endpoint else "auto"},
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
    )
    fs.retries = 1  # botocore's, below, know more of what may be tried again
    return fs


@contextmanager
def translated(folder: Path | str) -> Iterator[None]:
    """Turn the errors of a folder into ours; FileNotFoundError of one object stays."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise FileNotFoundError(str(error)) from error
    except PermissionError as error:
        raise ConfigError(f"bucket file://{folder} refuses us: {error}") from error
    except OSError as error:
        raise TransientError(f"bucket file://{folder}: {error}") from error


def folder_etag(stat: os.stat_result) -> str:
    """What changes when a file's content does."""
    return f"{stat.st_ino}-{stat.st_mtime}-{stat.st_size}"


def _translate(error: Any, where: str, key: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code == "NoSuchBucket" or (code in _MISSING and not key):
        return ConfigError(f"{where} is not there ({code}): create it, or set HEMALOOP_BUCKET")
    if code in _MISSING:
        return FileNotFoundError(f"{where} has no {key}")
    if code in _REFUSED:
        return ConfigError(f"{where} refuses our key ({error}): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return TransientError(f"{where}: {key}: {error}")
