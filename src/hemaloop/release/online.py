"""Making new metadata visible: everything is written first, the timestamp last.

The timestamp also says which versions are halted. A client verifies it before all other metadata but root,
so that a halt reaches devices though targets, snapshot or channels have expired.
"""

import copy
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Snapshot, TargetFile, Targets, Timestamp

from hemaloop.errors import ConfigError
from hemaloop.protocol.halts import halted_versions, halting
from hemaloop.release.keys.signers import OnlineKeys, load_online_key, one_writer
from hemaloop.release.metadata import (
    CHANNELS,
    TIMESTAMP,
    Document,
    State,
    expiry,
    read_root,
    read_timestamp,
    sign,
    write_metadata,
)
from hemaloop.release.parameters import EXPIRIES, Expiries
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


def next_channels(
    state: State, keys: OnlineKeys, files: Mapping[str, TargetFile | None], now: datetime, expiries: Expiries
) -> Document[Targets]:
    """The channels' next version, with `files` added or changed; None: taken away."""
    signed = copy.deepcopy(state.channels.signed)
    signed.version += 1
    signed.expires = expiry(now, expiries.of("channels"))
    signed.targets.update({path: target for path, target in files.items() if target is not None})
    for path in (path for path, target in files.items() if target is None):
        signed.targets.pop(path, None)
    return sign(signed, [keys.channels])


def next_snapshot(state: State, keys: OnlineKeys, now: datetime, expiries: Expiries) -> Document[Snapshot]:
    """The next snapshot, naming the targets and channels of `state`."""
    signed = copy.deepcopy(state.snapshot.signed)
    signed.version += 1
    signed.expires = expiry(now, expiries.of("snapshot"))
    signed.meta["targets.json"] = state.targets.entry()
    signed.meta[f"{CHANNELS}.json"] = state.channels.entry()
    return sign(signed, [keys.snapshot])


def next_timestamp(state: State, keys: OnlineKeys, now: datetime, expiries: Expiries) -> Document[Timestamp]:
    """The next timestamp, naming the snapshot of `state`."""
    signed = copy.deepcopy(state.timestamp.signed)
    signed.version += 1
    signed.expires = expiry(now, expiries.of("timestamp"))
    signed.snapshot_meta = state.snapshot.entry()
    return sign(signed, [keys.timestamp])


def write_state(bucket: Bucket, before: State, after: State) -> None:
    """Write what changed. A client that reads meanwhile follows the old timestamp to files that are still there."""
    if after.targets is not before.targets:
        write_metadata(bucket, Targets.type, after.targets)
    if after.channels is not before.channels:
        write_metadata(bucket, CHANNELS, after.channels)
    if after.snapshot is not before.snapshot:
        write_metadata(bucket, Snapshot.type, after.snapshot)
    bucket.write(TIMESTAMP, after.timestamp.data)
    log.info(
        "published timestamp %d: targets %d, channels %d",
        after.timestamp.signed.version,
        after.targets.signed.version,
        after.channels.signed.version,
    )


def advance(
    bucket: Bucket, before: State, changed: State, keys: OnlineKeys, now: datetime, expiries: Expiries
) -> State:
    """Snapshot and timestamp for the targets and channels of `changed`, all of it made visible at once."""
    after = replace(changed, snapshot=next_snapshot(changed, keys, now, expiries))
    after = replace(after, timestamp=next_timestamp(after, keys, now, expiries))
    write_state(bucket, before, after)
    return after


def halt(bucket: Bucket, online: Path, version: int, now: datetime, expiries: Expiries = EXPIRIES) -> frozenset[int]:
    """Say that no device may run `version`; those that do go back to the fallback that its approvers signed.

    Needs the timestamp's key alone, and no metadata but root and timestamp. Halting twice is no error.

    Returns:
        Every version that is halted now.

    Raises:
        ConfigError: no such version can be, or the key cannot be read. UntrustedError: the key does not count.
    """
    if version < 1:
        raise ConfigError(f"halt: wanted a version of 1 or more, got {version}")
    return _halting(bucket, online, lambda found: found | {version}, now, expiries)


def unhalt(bucket: Bucket, online: Path, version: int, now: datetime, expiries: Expiries = EXPIRIES) -> frozenset[int]:
    """Let devices run `version` again, where their channel names it. Returns and raises as `halt`."""
    return _halting(bucket, online, lambda found: found - {version}, now, expiries)


def keep_timestamp(bucket: Bucket, online: Path, now: datetime, expiries: Expiries = EXPIRIES) -> None:
    """Sign the timestamp anew as it is, whatever has become of the rest: so that halts go on reaching devices.

    Raises: as `halt`.
    """
    _halting(bucket, online, lambda found: found, now, expiries, always=True)


def _halting(
    bucket: Bucket,
    online: Path,
    change: Callable[[frozenset[int]], Iterable[int]],
    now: datetime,
    expiries: Expiries,
    always: bool = False,
) -> frozenset[int]:
    with one_writer(online):
        root = read_root(bucket)
        signed = copy.deepcopy(read_timestamp(bucket, root).signed)
        signer = load_online_key(online, Timestamp.type, root)
        before = halted_versions(signed.unrecognized_fields)
        after = frozenset(change(before))
        if after != before or always:
            signed.version += 1
            signed.expires = expiry(now, expiries.of(Timestamp.type))
            if after != before:
                signed.unrecognized_fields.update(halting(after))
            bucket.write(TIMESTAMP, sign(signed, [signer]).data)
            log.warning("timestamp %d halts %s", signed.version, ", ".join(map(str, sorted(after))) or "nothing")
    return after
