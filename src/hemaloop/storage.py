"""The bucket: one URL, s3:// or file://, the same behaviour."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hemaloop.errors import ConfigError, TransientError
from hemaloop.files import write_atomically

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredObject:
    key: str
    size: int  # bytes
    etag: str  # changes when the content does
    modified: datetime


class Bucket:
    """Objects by key. S3's address and key come from the standard AWS_* environment variables.

    Raises (any method):
        ConfigError: the bucket is not there, or refuses our key.
        TransientError: it cannot be reached, or failed on its side.
        FileNotFoundError: there is no object with that key.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # half a second; not for `--help`

        self.url = url
        self._local = url.startswith("file://")
        self._root = url.split("://", 1)[1]
        if self._local:
            self._fs = fsspec.filesystem("file")
        else:
            # The endpoint is named so that fsspec, which remembers filesystems by arguments, sees it change.
            self._fs = fsspec.filesystem(
                "s3",
                endpoint_url=os.environ.get("AWS_ENDPOINT_URL"),
                key=os.environ.get("AWS_ACCESS_KEY_ID"),
                secret=os.environ.get("AWS_SECRET_ACCESS_KEY"),
                use_listings_cache=False,
            )

    def check(self) -> None:
        """Raises: ConfigError: the bucket does not exist or refuses us. TransientError: it is away."""
        with self._translated(""):
            if self._local:
                if not Path(self._root).is_dir():
                    raise ConfigError(f"bucket {self.url}: there is no such folder: create it, or set HEMALOOP_BUCKET")
            else:
                self._fs.call_s3("head_bucket", Bucket=self._root)

    def create(self) -> None:
        """Create the bucket if it is not there."""
        with self._translated(""):
            if self._local:
                Path(self._root).mkdir(parents=True, exist_ok=True)
            elif not self._fs.exists(self._root):
                self._fs.mkdir(self._root)

    def read(self, key: str) -> bytes:
        with self._translated(key):
            return bytes(self._fs.cat_file(self._path(key)))

    def read_many(self, keys: list[str]) -> dict[str, bytes | None]:
        """Several objects at once; None for those that are not there (any more)."""
        if not keys:
            return {}
        paths = {self._path(key): key for key in keys}
        with self._translated(keys[0]):
            found = self._fs.cat(list(paths), on_error="return")
        if isinstance(found, bytes):  # fsspec unwraps a list of one
            found = {next(iter(paths)): found}
        contents: dict[str, bytes | None] = {}
        for path, key in paths.items():
            content = found.get(path)
            if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                with self._translated(key):
                    raise content
            contents[key] = content if isinstance(content, bytes) else None
        return contents

    def write(self, key: str, data: bytes) -> None:
        with self._translated(key):
            if self._local:
                write_atomically(Path(self._path(key)), data)
            else:
                self._fs.pipe_file(self._path(key), data)

    def exists(self, key: str) -> bool:
        with self._translated(key):
            return bool(self._fs.exists(self._path(key)))

    def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""
        with self._translated(key):
            try:
                self._fs.rm_file(self._path(key))
            except FileNotFoundError:
                log.debug("%s was not there to delete", key)

    def copy(self, source: str, target: str) -> None:
        with self._translated(source):
            if self._local:
                self.write(target, self.read(source))
            else:
                self._fs.cp_file(self._path(source), self._path(target))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object whose key begins with `prefix` (a folder, ending in '/'), in order of keys."""
        with self._translated(prefix):
            found = self._fs.find(self._path(prefix.rstrip("/")), detail=True)
        for path, info in sorted(found.items()):
            key = path[len(self._root) :].lstrip("/")
            if key.startswith(prefix) and "/.tmp-" not in f"/{key}":
                yield self._object(key, info)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _object(self, key: str, info: dict[str, object]) -> StoredObject:
        size = int(str(info["size"]))
        if self._local:
            modified = datetime.fromtimestamp(float(str(info["mtime"])), UTC)
            return StoredObject(key, size, f"{info['ino']}-{info['mtime']}-{size}", modified)
        last_modified = info["LastModified"]
        assert isinstance(last_modified, datetime)
        return StoredObject(key, size, str(info["ETag"]).strip('"'), last_modified)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Turn the many errors of s3fs into ours; FileNotFoundError of one object stays."""
        import botocore.exceptions as s3

        try:
            yield
        except PermissionError as error:
            raise ConfigError(
                f"bucket {self.url} refuses our key ({error}): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from error
        except FileNotFoundError as error:
            if not key or "specified bucket" in str(error):  # S3's words for NoSuchBucket
                raise ConfigError(
                    f"bucket {self.url} is not there ({error}): create it, or set HEMALOOP_BUCKET"
                ) from error
            raise
        except s3.NoCredentialsError as error:
            raise ConfigError(f"bucket {self.url}: no key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from error
        except (s3.HTTPClientError, s3.ConnectionError, ConnectionError, TimeoutError) as error:
            where = os.environ.get("AWS_ENDPOINT_URL", "AWS")
            raise TransientError(f"bucket {self.url} at {where} cannot be reached: {error}") from error
        except OSError as error:
            raise TransientError(f"bucket {self.url}: {error}") from error
