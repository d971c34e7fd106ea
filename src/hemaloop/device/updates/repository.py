"""The releases in the bucket, seen through TUF: nothing comes out of here that is not signed."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import quote

from securesystemslib.exceptions import StorageError
from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from hemaloop.device.home import Home
from hemaloop.device.transport import RefusedKeyError, Transport
from hemaloop.device.updates.room import check_room
from hemaloop.errors import HemaloopError, TransientError, UntrustedError
from hemaloop.protocol.channel import Channel, channel_target, model_target
from hemaloop.protocol.documents import decode
from hemaloop.protocol.halts import halted_versions, revoked_versions
from hemaloop.protocol.keys import RELEASES

log = logging.getLogger(__name__)

METADATA = f"{RELEASES}metadata/"
TARGETS = f"{RELEASES}targets/"

Role = TypeVar("Role", Timestamp, Targets)


class TransportFetcher(FetcherInterface):
    """TUF's requests, signed and sent as all others; our own errors pass through as they are.

    A target that was cut off is kept in `partial` and continued where it stopped. It is believed only when
    whole, and thrown away when it then turns out wrong.
    """

    def __init__(self, transport: Transport, partial: Path) -> None:
        self._transport = transport
        self._partial = partial

    def _fetch(self, url: str) -> Iterator[bytes]:
        raise NotImplementedError("download_file asks for a range, so that no more than the wanted length is sent")

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        if not url.startswith(TARGETS):
            with io.BytesIO() as stream:
                self._fill(stream, url, max_length)
                yield stream
            return
        self._partial.mkdir(parents=True, exist_ok=True)
        path = self._partial / f"{quote(url, '')}.part"
        with path.open("a+b") as stream:
            self._fill(stream, url, max_length)
            try:
                yield stream
            finally:
                path.unlink()

    def _fill(self, stream: IO[bytes], url: str, length: int) -> None:
        start = stream.seek(0, io.SEEK_END)
        try:
            for chunk in self._transport.read(url, start, length):
                stream.write(chunk)
        except FileNotFoundError as error:
            raise exceptions.DownloadHTTPError(str(error), 404) from error
        except RefusedKeyError as error:
            # Whoever may not list a bucket is told nothing of what is not there: to ask for the next root is refused.
            # A key that is refused in truth is refused for the timestamp too, which comes next.
            if not url.endswith(".root.json"):
                raise
            raise exceptions.DownloadHTTPError(str(error), 403) from error
        stream.seek(0)


class SignedReleases:
    """One look at the repository: refreshed once, then consistent.

    Raises (any method):
        UntrustedError: a signature, hash, version or expiry does not hold.
        TransientError: the bucket cannot be reached, or lacks what its metadata names.
        ConfigError: the bucket refuses us.
    """

    def __init__(self, home: Home, transport: Transport, now: datetime | None = None) -> None:
        """`now`: what expiry goes by; the machine's clock, where it is not given."""
        self._home = home
        self._now = now or datetime.now(UTC)
        home.metadata.mkdir(parents=True, exist_ok=True)
        with _translated("the release metadata"):
            self._updater = Updater(
                metadata_dir=str(home.metadata),
                metadata_base_url=METADATA,
                target_dir=str(home.downloads),
                target_base_url=TARGETS,
                fetcher=TransportFetcher(transport, home.downloads),
                bootstrap=home.root.read_bytes(),
            )
        # The client has no argument for the time; its specification has (5.1: the start of the update is fixed).
        self._updater._trusted_set.reference_time = self._now
        self._refreshed: bool | HemaloopError | None = None  # None: not yet

    def channel(self, name: str) -> Channel | None:
        """What the channel says; None when nothing was ever released."""
        if not self._refresh():
            return None
        with _translated(f"channel {name}"):
            target = self._updater.get_targetinfo(channel_target(name))
            if target is None:
                return None
            path = str(self._home.downloads / "channel.json")
            path = self._updater.find_cached_target(target, path) or self._updater.download_target(target, path)
        channel = decode(Path(path).read_bytes(), Channel)
        if channel.name != name:
            raise UntrustedError(f"channel {name}: its file is that of channel {channel.name}")
        return channel

    def halted(self) -> frozenset[int]:
        """Versions that must not run here. Known though snapshot, targets or channels have expired, or are bad.

        What the last good timestamp said counts for as long as that is valid, also where the bucket is out of reach.
        """
        try:
            self._refresh()
        except HemaloopError as error:
            timestamp = self._timestamp()
            if timestamp is None:
                raise
            log.warning("halts are known, the rest is not: %s", error)
        else:
            timestamp = self._timestamp()
        return frozenset() if timestamp is None else halted_versions(timestamp.unrecognized_fields)

    def revoked(self) -> frozenset[int]:
        """Versions that the approvers took back for good: whoever holds the server's keys cannot say otherwise.

        What the last good targets said counts, also where they have expired or the bucket is out of reach.
        """
        root = self._root()
        targets = None if root is None else self._kept(Targets, root)
        return frozenset() if targets is None else revoked_versions(targets.unrecognized_fields)

    def bundle(self, version: int) -> Path:
        """The release's bundle on this disk, verified; not downloaded again while it is there."""
        path = str(self._home.downloads / "bundle.zip")
        with _translated(f"release {version}"):
            target = self._approved(version)
            found = self._updater.find_cached_target(target, path)
            if found is None:
                # As it comes, as the client copies it once it is verified, and unpacked in its slot.
                check_room(self._home.downloads, 3 * target.length, f"release {version}")
                found = self._updater.download_target(target, path)
        return Path(found)

    def _refresh(self) -> bool:
        """Whether there is a repository; the client refreshes once, so a failure is kept for whoever asks next."""
        if self._refreshed is None:
            try:
                self._refreshed = self._refresh_once()
            except HemaloopError as error:
                self._refreshed = error
        if isinstance(self._refreshed, HemaloopError):
            raise self._refreshed
        return self._refreshed

    def _refresh_once(self) -> bool:
        with _translated("the release metadata"):
            try:
                self._updater.refresh()
            except exceptions.DownloadHTTPError:
                # A bucket without a repository is new; one that had a repository lost it.
                if (self._home.metadata / "timestamp.json").exists():
                    raise
                return False
        return True

    def _timestamp(self) -> Timestamp | None:
        """The newest one that the client took, if root's keys of today signed it and neither has expired."""
        root = self._root()
        timestamp = None if root is None else self._kept(Timestamp, root)
        if root is None or timestamp is None or root.is_expired(self._now) or timestamp.is_expired(self._now):
            return None
        return timestamp

    def _root(self) -> Root | None:
        """The newest one that the client took, and verified from the one that it was shipped with."""
        try:
            return Metadata[Root].from_file(str(self._home.metadata / "root.json")).signed
        except (StorageError, exceptions.RepositoryError) as error:
            log.debug("no root: %s", error)
            return None

    def _kept(self, role: type[Role], root: Root) -> Role | None:
        """The newest metadata of a role that the client took, if root's keys of today signed it."""
        try:
            found = Metadata[Role].from_file(str(self._home.metadata / f"{role.type}.json"))
            root.verify_delegate(role.type, found.signed_bytes, found.signatures)
        except (StorageError, exceptions.RepositoryError) as error:
            log.debug("no %s: %s", role.type, error)
            return None
        return found.signed

    def _approved(self, version: int) -> TargetFile:
        """From the top-level targets role alone, which the approvers sign: delegations don't count for models."""
        path = model_target(version)
        self._updater.get_targetinfo(path)
        # `refresh` verified this file, whether it was downloaded or lay here.
        targets: Metadata[Targets] = Metadata[Targets].from_file(str(self._home.metadata / "targets.json"))
        target = targets.signed.targets.get(path)
        if target is None:
            raise UntrustedError(f"release {version}: the approvers have signed no {path}")
        return target


@contextmanager
def _translated(subject: str) -> Iterator[None]:
    """TUF's errors as ours."""
    try:
        yield
    except exceptions.ExpiredMetadataError as error:
        raise UntrustedError(
            f"{subject}: {error}: either nobody refreshes the releases, or they are held back from this device, "
            "or its clock is wrong; the model goes on working"
        ) from error
    except (exceptions.RepositoryError, DeserializationError) as error:
        raise UntrustedError(f"{subject}: {error}") from error
    except exceptions.DownloadError as error:
        raise TransientError(f"{subject}: {error}") from error
