"""What attackers do, and what must not change on a device."""

import copy
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from device_bench import Cloud, Pi, build
from tuf.api.metadata import TargetFile

from hemaloop.device.home import Home, utc_now
from hemaloop.device.journal import Journal
from hemaloop.device.updates.slots import Active
from hemaloop.device.updates.update import Refused, Updated
from hemaloop.protocol.channel import Channel, channel_target, model_target
from hemaloop.protocol.documents import encode
from hemaloop.release.keys.signers import load_key, load_online
from hemaloop.release.metadata import State, metadata_key, read_state, sign, target_key, versions
from hemaloop.release.online import advance, next_channels
from hemaloop.release.parameters import EXPIRIES


def copied(before: Path, folder: Path, url: str) -> Iterator[Pi]:
    shutil.copytree(before / "pi", folder)
    home = Home(folder)
    home.settings.write_text(home.settings.read_text().replace(f"file://{before}/bucket", url))
    with Journal(home.journal) as journal:
        yield Pi(home, home.read_settings(), journal)


def follow(cloud: Cloud, pi: Pi, version: int) -> None:
    """The approvers release a version, and the device takes it."""
    cloud.release(build(version))
    assert isinstance(pi.update(), Updated)


def assert_kept(pi: Pi, before: Active, outcome: object, why: str) -> None:
    """Nothing but a refusal came of it: the same slot, the same model, and it answers."""
    assert isinstance(outcome, Refused), outcome
    assert why in outcome.reason
    assert_untouched(pi, before)
    assert pi.journal.refusals()[-1].reason == outcome.reason


def assert_untouched(pi: Pi, before: Active) -> None:
    assert pi.slots.active() == before
    assert pi.answers("monocyte")


def people(cloud: Cloud, kind: str) -> list[Path]:
    return [cloud.offline / f"{kind}-{person}.pem" for person in ("ada", "bela")]


def every_key(cloud: Cloud) -> list[Path]:
    return [*people(cloud, "root"), *people(cloud, "approver")]


def make_visible(
    cloud: Cloud, files: dict[str, TargetFile], change: Callable[[State], State] = lambda state: state
) -> None:
    """With every online key: files of the channels role, and whatever else is changed."""
    state = read_state(cloud.bucket)
    keys = load_online(cloud.online, state.root, state.targets.signed)
    changed = change(replace(state, channels=next_channels(state, keys, files, utc_now(), EXPIRIES)))
    advance(cloud.bucket, state, changed, keys, utc_now(), EXPIRIES)


def file(cloud: Cloud, path: str, data: bytes) -> TargetFile:
    """A target that lies in the bucket, and that nobody signed yet."""
    target = TargetFile.from_data(path, data)
    cloud.bucket.write(target_key(target), data)
    return target


def approvers_sign(cloud: Cloud, version: int, data: bytes) -> None:
    """Enough approvers sign what they should have looked at, and the channel names it."""
    target = file(cloud, model_target(version), data)

    def change(state: State) -> State:
        signed = copy.deepcopy(state.targets.signed)
        signed.version += 1
        signed.targets[target.path] = target
        return replace(state, targets=sign(signed, [load_key(path) for path in people(cloud, "approver")]))

    make_visible(cloud, {channel_target("stable"): channel(cloud, "stable", version)}, change)


def channel(cloud: Cloud, name: str, version: int, place: str = "stable") -> TargetFile:
    return file(cloud, channel_target(place), encode(Channel(name, version)))


def newest(cloud: Cloud, role: str) -> str:
    """The key of the newest metadata of a role."""
    return metadata_key(role, max(versions(cloud.bucket, role)))


def used(pi: Pi) -> int:
    """Bytes below the device's home."""
    return sum(path.stat().st_size for path in pi.home.folder.rglob("*") if path.is_file())
