"""A drill: a key of each role is replaced, and a real TUF client must follow; all in a throwaway folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError, RepositoryError
from tuf.ngclient import FetcherInterface, Updater

from hemaloop.release.keys.ceremony import hold_ceremony
from hemaloop.release.keys.people import replace_key
from hemaloop.release.keys.rotation import Gathering, rotate_online
from hemaloop.release.keys.signers import ANCHOR, ONLINE_ROLES, load_key
from hemaloop.release.metadata import METADATA, TARGETS, read_state
from hemaloop.storage import Bucket

ROLES = ("root", "targets", *ONLINE_ROLES)
_PEOPLE = ("alice", "bob", "carol")
_LOSER = _PEOPLE[0]


@dataclass(frozen=True)
class Drilled:
    """One key, replaced."""

    role: str
    followed: bool  # by a device that knew the old key
    gone: bool  # the old key counts no more

    @property
    def passed(self) -> bool:
        return self.followed and self.gone


def drill(folder: Path, now: datetime) -> Iterator[Drilled]:
    """Replace one key of each role, each time after a ceremony of its own below `folder`, which is empty."""
    for role in ROLES:
        yield _replace(folder / role, role, now)


def _replace(folder: Path, role: str, now: datetime) -> Drilled:
    bucket = Bucket(f"file://{folder}/bucket")
    bucket.create()
    offline, online = folder / "offline", folder / "online"
    hold_ceremony(bucket, offline, online, _PEOPLE, 2, now)
    device = _Device(folder / "device", bucket, (offline / ANCHOR).read_bytes())
    assert device.follows()
    names = {"root": f"root-{_LOSER}.pem", "targets": f"approver-{_LOSER}.pem"}
    path = offline / names[role] if role in names else online / f"{role}.pem"
    old = load_key(path).public_key.keyid
    path.unlink()
    keys = [offline / f"{kind}-{person}.pem" for kind in ("root", "approver") for person in _PEOPLE[1:]]
    gathering = Gathering(bucket, keys, online, now, reason="a drill")
    if role in names:
        replace_key(gathering, role, _LOSER, offline)
    else:
        rotate_online(gathering, [role])
    state = read_state(bucket)
    delegator = state.targets.signed if role == "channels" else state.root
    return Drilled(role, device.follows(), old not in delegator.get_delegated_role(role).keyids)


class _Fetcher(FetcherInterface):
    """An address is a key."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            return iter([self._bucket.read(url)])
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"{url} is not there", 404) from error


class _Device:
    """python-tuf's client, which remembers what it has seen."""

    def __init__(self, folder: Path, bucket: Bucket, root: bytes) -> None:
        self._folder = folder
        self._bucket = bucket
        self._root = root

    def follows(self) -> bool:
        """Whether it believes the bucket as it is now, channels included."""
        self._folder.mkdir(parents=True, exist_ok=True)
        updater = Updater(
            str(self._folder), METADATA, str(self._folder), TARGETS, _Fetcher(self._bucket), bootstrap=self._root
        )
        try:
            updater.refresh()
            updater.get_targetinfo("channels/none.json")
        except RepositoryError:
            return False
        return True
