"""What a change of keys keeps of what the old online keys signed: as much as devices may believe of any thief."""

import logging
from dataclasses import dataclass

from tuf.api.metadata import Root, TargetFile, Targets

from hemaloop.errors import ConfigError, DataError, UntrustedError
from hemaloop.protocol.channel import Channel
from hemaloop.protocol.halts import halted_versions
from hemaloop.release.channels import channel_name, read_file, released
from hemaloop.release.metadata import CHANNELS, newest_signed, read_timestamp
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptChannel:
    version: int  # that it names
    target: TargetFile  # its file, as it lies in the bucket


def kept_channels(bucket: Bucket, targets: Targets) -> dict[str, KeptChannel]:
    """Channels of the newest channels metadata, by name; without those that name a version that is not released."""
    try:
        channels = newest_signed(bucket, CHANNELS, targets)
    except UntrustedError as error:
        log.warning("channels start anew: %s", error)
        return {}
    found = {}
    for path, target in channels.signed.targets.items():
        name = channel_name(path)
        try:
            channel = read_file(bucket, target)
        except (DataError, UntrustedError) as error:
            log.warning("dropped %s: %s", path, error)
            continue
        if name is not None and _versions(channel) <= released(targets).keys():
            found[name] = KeptChannel(channel.version, target)
        else:
            log.warning("dropped %s: it names a version that is not released", path)
    return found


def kept_halts(bucket: Bucket, root: Root) -> frozenset[int]:
    """What is halted stays so, whoever said it: at worst devices go back to their approvers' fallback."""
    try:
        return halted_versions(read_timestamp(bucket, root).signed.unrecognized_fields)
    except (ConfigError, UntrustedError) as error:
        log.warning("nothing is halted any more: %s", error)
        return frozenset()


def _versions(channel: Channel) -> set[int]:
    """Every version that it would have a device run."""
    rollout = None if channel.rollout is None else channel.rollout.version
    others = {each for each in (rollout, channel.shadow) if each is not None}
    return {channel.version, *channel.pins.values()} | others
