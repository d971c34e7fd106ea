"""A bucket that has had its ceremony, people with keys, and a device's real TUF client."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from hemaloop.protocol.bundle import Bundle, GoldenImage, Release, pack
from hemaloop.protocol.channel import Channel, channel_target, model_target
from hemaloop.protocol.documents import decode
from hemaloop.release.approvals.approval import Approvals, approve
from hemaloop.release.keys.ceremony import hold_ceremony
from hemaloop.release.metadata import METADATA, TARGETS
from hemaloop.storage import Bucket

PEOPLE = ("anna", "bob", "chloe")


def now() -> datetime:
    """TUF's client reads the clock itself, so these tests live in the present."""
    return datetime.now(UTC)


def bundle(
    version: int, fallback: int | None = None, model: bytes = b"a model", metrics: dict[str, float] | None = None
) -> bytes:
    """A release bundle; what the model is does not matter to signatures."""
    golden = (GoldenImage("cell.jpg", "monocyte", (0.1, 0.9)),)
    release = Release(
        version, "0" * 40, datetime(2026, 11, 1, tzinfo=UTC), golden, 0.02, 500.0, fallback, metrics or {}
    )
    return pack(Bundle(release, model, {"cell.jpg": b"an image"}))


class BucketFetcher(FetcherInterface):
    """Reads a bucket as a device would: an address is a key."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            return iter([self.bucket.read(url)])
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"{url} is not there", 404) from error


@dataclass(frozen=True)
class Device:
    """A device that remembers what it has seen: python-tuf's own client over its folder."""

    folder: Path
    bucket: Bucket
    root: bytes

    def read(self, target: str) -> bytes | None:
        """A target after a refresh; None: nobody signed it. Raises: what python-tuf raises."""
        for name in ("metadata", "targets"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        updater = Updater(
            str(self.folder / "metadata"),
            METADATA,
            str(self.folder / "targets"),
            TARGETS,
            BucketFetcher(self.bucket),
            bootstrap=self.root,
        )
        updater.refresh()
        found = updater.get_targetinfo(target)
        return None if found is None else Path(updater.download_target(found)).read_bytes()

    def channel(self, name: str = "stable") -> int | None:
        """The version that the channel names."""
        data = self.read(channel_target(name))
        return None if data is None else decode(data, Channel).version

    def model(self, version: int) -> bytes | None:
        return self.read(model_target(version))


@dataclass(frozen=True)
class Site:
    """A bucket with a repository, and everybody's keys."""

    bucket: Bucket
    folder: Path

    @property
    def offline(self) -> Path:
        return self.folder / "offline"

    @property
    def online(self) -> Path:
        return self.folder / "online"

    def device(self, name: str = "pi", bucket: Bucket | None = None) -> Device:
        root = (self.offline / "root.json").read_bytes()
        return Device(self.folder / name, bucket or self.bucket, root)

    def approver(self, name: str) -> Path:
        return self.offline / f"approver-{name}.pem"

    def root_keys(self, *names: str) -> list[Path]:
        return [self.offline / f"root-{name}.pem" for name in names]

    def approve(self, version: int, people: Sequence[str], data: bytes | None = None) -> Approvals:
        """Each of `people` approves."""
        for person in people:
            approvals = approve(
                self.bucket, version, data or bundle(version), self.approver(person), person, "looks good", now()
            )
        return approvals


def hold(bucket: Bucket, folder: Path) -> Site:
    hold_ceremony(bucket, folder / "offline", folder / "online", PEOPLE, 2, now())
    return Site(bucket, folder)


class CutError(Exception):
    """The process died here."""


class DyingBucket(Bucket):
    """The same bucket; its writer dies at one write, which is done or is not."""

    def __init__(self, bucket: Bucket, dies_at: int, done: bool) -> None:
        super().__init__(bucket.url)
        self.dies_at = dies_at
        self.done = done
        self.writes = 0

    def write(self, key: str, data: bytes) -> None:
        with self._dying():
            super().write(key, data)

    def delete(self, key: str) -> None:
        with self._dying():
            super().delete(key)

    @contextmanager
    def _dying(self) -> Iterator[None]:
        self.writes += 1
        if self.writes == self.dies_at and not self.done:
            raise CutError
        yield
        if self.writes == self.dies_at:
            raise CutError
