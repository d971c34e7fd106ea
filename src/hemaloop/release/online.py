"""Making new metadata visible: everything is written first, the timestamp last."""

import copy
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from tuf.api.metadata import Snapshot, TargetFile, Targets, Timestamp

from hemaloop.release.metadata import CHANNELS, TIMESTAMP, Document, State, expiry, sign, write_metadata
from hemaloop.release.parameters import Expiries
from hemaloop.release.signers import OnlineKeys
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


def next_channels(
    state: State, keys: OnlineKeys, files: Mapping[str, TargetFile], now: datetime, expiries: Expiries
) -> Document[Targets]:
    """The channels' next version, with `files` added or changed."""
    signed = copy.deepcopy(state.channels.signed)
    signed.version += 1
    signed.expires = expiry(now, expiries.of("channels"))
    signed.targets.update(files)
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
