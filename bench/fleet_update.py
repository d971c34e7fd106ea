"""500 devices at once go through a rollout, 5, 25, 100 %, against the embedded server; and what an idle look costs.

Each device is a thread with a home of its own and the device's own code: signed requests, TUF, the ranged download,
both slots. Its model is 1 MB of noise, so the self-test, a process of a device's own, is left out. The limit is
python-tuf's client alone, with the same signed requests. All devices share this machine's cores; the fleet's do not.
"""

import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuf.api.metadata import TargetFile
from tuf.ngclient import Updater

from bench.ratio import Ratio, compare, seconds
from hemaloop.device.home import DeviceSettings, Home, set_up
from hemaloop.device.transport import Transport, open_transport
from hemaloop.device.updates.look import Look, still_holds
from hemaloop.device.updates.repository import TARGETS, SignedReleases, TransportFetcher
from hemaloop.device.updates.rules import Take, may_update
from hemaloop.device.updates.slots import Slots
from hemaloop.embedded import environment, running
from hemaloop.protocol.bundle import Bundle, GoldenImage, Release, pack, unpack
from hemaloop.protocol.channel import Channel, Rollout, channel_target, model_target, wanted_version
from hemaloop.protocol.documents import decode, encode
from hemaloop.release.approvals.approval import approve
from hemaloop.release.keys.ceremony import hold_ceremony
from hemaloop.release.keys.signers import load_online
from hemaloop.release.metadata import METADATA, read_state, target_key
from hemaloop.release.online import advance, next_channels
from hemaloop.release.parameters import EXPIRIES
from hemaloop.release.publish import publish
from hemaloop.storage import Bucket

QUICK, FULL = 50, 500  # devices
PHASES = (5.0, 25.0, 100.0)  # percent
MODEL_BYTES = 2**20
GOAL, IDLE_GOAL = 2.0, 2.0


@dataclass(frozen=True)
class Site:
    bucket: Bucket
    keys: Path

    def release(self, version: int) -> None:
        """Approve and publish a version."""
        golden = (GoldenImage("cell.jpg", "monocyte", (0.1, 0.9)),)
        release = Release(version, "0" * 40, _now(), golden, 0.02, 500.0, version - 1 or None)
        data = pack(Bundle(release, secrets.token_bytes(MODEL_BYTES), {"cell.jpg": b"an image"}))
        for person in ("ada", "bela"):
            key = self.keys / "offline" / f"approver-{person}.pem"
            approve(self.bucket, version, data, key, person, "a benchmark", _now())
        publish(self.bucket, self.keys / "online", "stable", _now())

    def say(self, channel: Channel) -> None:
        data = encode(channel)
        target = TargetFile.from_data(channel_target(channel.name), data)
        self.bucket.write(target_key(target), data)
        state = read_state(self.bucket)
        keys = load_online(self.keys / "online", state.root, state.targets.signed)
        changed = next_channels(state, keys, {target.path: target}, _now(), EXPIRIES)
        advance(self.bucket, state, replace(state, channels=changed), keys, _now(), EXPIRIES)


@dataclass(frozen=True)
class Device:
    home: Home
    settings: DeviceSettings
    transport: Transport

    def update(self) -> int:
        """As the agent does, but for the self-test; the version that then runs."""
        slots = Slots(self.home.slots)
        releases = SignedReleases(self.home, self.transport, _now())
        halted, channel = releases.halted(), releases.channel(self.settings.channel)
        assert channel is not None
        wanted = wanted_version(channel, self.settings.id)
        if isinstance(may_update(slots.running(), wanted, halted), Take):
            path = releases.bundle(wanted)
            slots.install(unpack(path.read_bytes()))
            slots.switch(wanted, _now(), channel.probation_images)
            path.unlink()
        active = slots.active()
        return active.version if active else 0

    def look(self) -> bool:
        """Whether nothing is new."""
        return still_holds(Look(_now(), "stable", 2, 2), self.home, self.transport, _now())

    def follow_barely(self) -> None:
        """The same with python-tuf alone: neither rules nor slots."""
        folder = self.home.folder / "bare"
        folder.mkdir(exist_ok=True)
        root, fetcher = self.home.root.read_bytes(), TransportFetcher(self.transport, folder)
        client = Updater(str(folder), METADATA, str(folder), TARGETS, fetcher, bootstrap=root)
        channel = decode(_fetch(client, channel_target("stable")), Channel)
        _fetch(client, model_target(wanted_version(channel, self.settings.id)))

    def ask(self) -> None:
        """One signed request of some hundred bytes."""
        for _ in self.transport.read(f"{METADATA}timestamp.json", 0, 400):
            pass


def _fetch(client: Updater, path: str) -> bytes:
    target = client.get_targetinfo(path)
    assert target is not None
    return Path(client.find_cached_target(target) or client.download_target(target)).read_bytes()


def run(quick: bool = False) -> list[Ratio]:
    count = QUICK if quick else FULL
    with (
        tempfile.TemporaryDirectory() as place,
        running(Path(place) / "server") as server,
        environment(server.environment()),
    ):
        return _run(Path(place), count)


def _run(place: Path, count: int) -> list[Ratio]:
    site = Site(Bucket("s3://fleet"), place / "keys")
    site.bucket.create()
    hold_ceremony(site.bucket, site.keys / "offline", site.keys / "online", ("ada", "bela", "chen"), 2, _now())
    site.release(1)
    devices = [_device(site, place / "devices", number) for number in range(count)]
    with ThreadPoolExecutor(count) as threads:
        for call in (Device.update, Device.follow_barely):
            _all(threads, devices, call)
        site.release(2)
        phases = {f"{percent:g} %": _phase(site, threads, devices, percent) for percent in PHASES}
        held: list[bool] = []
        idle, least = compare(
            lambda: held.extend(_all(threads, devices, Device.look)), lambda: _all(threads, devices, Device.ask), 3
        )
    if not all(held):
        raise RuntimeError(f"{held.count(False)} idle looks saw something new")
    ours = {percent: spent for percent, (spent, _) in phases.items()}
    limit = sum(bare for _, bare in phases.values())
    return [
        Ratio(f"{count} devices through a rollout", sum(ours.values()), limit, "python-tuf alone", GOAL, ours),
        Ratio(f"{count} devices look, and nothing is new", idle, least, "a request each", IDLE_GOAL),
    ]


def _phase(site: Site, threads: ThreadPoolExecutor, devices: Sequence[Device], percent: float) -> tuple[float, float]:
    """Seconds in which every device looked, ours and the limit; those that the rollout reaches run the new version
    then, and no others."""
    channel = Channel("stable", 1, Rollout(2, percent, "bench"))
    site.say(channel)
    found: list[int] = []
    spent = seconds(lambda: found.extend(_all(threads, devices, Device.update)))
    wanted = Counter(wanted_version(channel, device.settings.id) for device in devices)
    if Counter(found) != wanted:
        raise RuntimeError(f"rollout at {percent:g} %: {Counter(found)} run, wanted {wanted}")
    return spent, seconds(lambda: _all(threads, devices, Device.follow_barely))


def _all(threads: ThreadPoolExecutor, devices: Sequence[Device], call: Callable[[Device], Any]) -> list[Any]:
    """All at once."""
    return list(threads.map(call, devices))


def _device(site: Site, folder: Path, number: int) -> Device:
    home, settings = Home(folder / f"pi-{number}"), DeviceSettings(f"pi-{number}", site.bucket.url, "stable")
    set_up(home, settings, (site.keys / "offline" / "root.json").read_bytes())
    return Device(home, settings, open_transport(settings.bucket))


def _now() -> datetime:
    return datetime.now(UTC)
