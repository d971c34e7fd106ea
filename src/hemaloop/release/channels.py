"""What the online channels role says: which approved version each channel's devices should run."""

from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import TargetFile, Targets

from hemaloop.errors import ConfigError, UntrustedError
from hemaloop.protocol.channel import Channel, channel_target, model_target
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import NAME, must_be_name
from hemaloop.release.metadata import State, target_key
from hemaloop.storage import Bucket

CUSTOM = "hemaloop"  # our part of a target's signed description


def may_move(current: int | None, wanted: int, fallback: int | None) -> bool:
    """Whether a channel may go from version `current` (None: from nothing) to `wanted`.

    Forwards, or back to the one `fallback` that the approvers of `current` signed with it.
    """
    return current is None or wanted >= current or wanted == fallback


def fallback_of(targets: Targets, version: int | None) -> int | None:
    """The version that the approvers of `version` let devices go back to."""
    if version is None or model_target(version) not in targets.targets:
        return None
    fallback = described(targets.targets[model_target(version)]).get("fallback")
    return fallback if isinstance(fallback, int) else None


def described(target: TargetFile) -> dict[str, Any]:
    """What its signers say of a target."""
    custom = target.custom or {}
    return dict(custom.get(CUSTOM, {}))


def released(targets: Targets) -> dict[int, TargetFile]:
    """Every version that the approvers signed, and its file."""
    found = {}
    for path, target in targets.targets.items():
        version = path.removeprefix("models/").removesuffix(".zip")
        if version.isdecimal() and path == model_target(int(version)):
            found[int(version)] = target
    return dict(sorted(found.items()))


def read_channel(bucket: Bucket, state: State, name: str) -> int | None:
    """The version that a channel names now; None: there is no such channel. Raises: UntrustedError."""
    channel = read_document(bucket, state, name)
    return None if channel is None else channel.version


def read_document(bucket: Bucket, state: State, name: str) -> Channel | None:
    """All that a channel's file says; None: there is no such channel. Raises: UntrustedError."""
    target = state.channels.signed.targets.get(channel_target(name))
    return None if target is None else read_file(bucket, target)


def read_channels(bucket: Bucket, state: State) -> dict[str, int]:
    """Every channel and the version that it names. Raises: UntrustedError."""
    files = sorted(state.channels.signed.targets.items())
    return {
        name: read_file(bucket, target).version for path, target in files if (name := channel_name(path)) is not None
    }


def read_file(bucket: Bucket, target: TargetFile) -> Channel:
    """What a channel's file says. Raises: UntrustedError: it is not the file that was signed. DataError."""
    try:
        data = bucket.read(target_key(target))
        target.verify_length_and_hashes(data)
    except (FileNotFoundError, RepositoryError) as error:
        raise UntrustedError(f"{target.path} is not the file that was signed: {error}") from error
    return decode(data, Channel)


def channel_name(path: str) -> str | None:
    """The channel whose file a target is; None: none's."""
    name = path.removeprefix("channels/").removesuffix(".json")
    return name if NAME.fullmatch(name) and path == channel_target(name) else None


def write_channel(bucket: Bucket, name: str, version: int) -> TargetFile:
    """Put a channel's file in the bucket, where only its hash finds it; nothing names it yet."""
    return write_document(bucket, Channel(name, version))


def write_document(bucket: Bucket, channel: Channel) -> TargetFile:
    """The same for all that a channel can say."""
    check_name(channel.name)
    data = encode(channel)
    target = TargetFile.from_data(channel_target(channel.name), data)
    bucket.write(target_key(target), data)
    return target


def check_name(name: str) -> None:
    """Raises: ConfigError: not a channel's name."""
    must_be_name("channel", name, ConfigError)
