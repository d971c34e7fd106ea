"""What somebody who broke into the server would try; devices must refuse each."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tuf.api.metadata import TargetFile

from hemaloop.protocol.channel import model_target
from hemaloop.release.channels import write_channel
from hemaloop.release.keys.signers import load_key, load_online
from hemaloop.release.metadata import read_state, sign, target_key
from hemaloop.release.online import advance, next_channels
from hemaloop.release.parameters import EXPIRIES
from hemaloop.storage import Bucket


@contextmanager
def tampered_bundle(bucket: Bucket, version: int) -> Iterator[None]:
    """One bit of a released model is flipped in the bucket, until the block ends."""
    key = target_key(read_state(bucket).targets.signed.targets[model_target(version)])
    good = bucket.read(key)
    bad = bytearray(good)
    bad[len(bad) // 2] ^= 1
    bucket.write(key, bytes(bad))
    try:
        yield
    finally:
        bucket.write(key, good)


def release_with_too_few_signatures(bucket: Bucket, online: Path, approver: Path, channel: str, version: int) -> None:
    """Publish a model under one stolen approver's key and all of the server's, and point the channel at it."""
    now = datetime.now(UTC)
    state = read_state(bucket)
    keys = load_online(online, state.root, state.targets.signed)
    model = b"a model that nobody approved"
    signed = copy.deepcopy(state.targets.signed)
    signed.version += 1
    signed.targets[model_target(version)] = TargetFile.from_data(model_target(version), model, ["sha256"])
    bucket.write(target_key(signed.targets[model_target(version)]), model)
    files = {f"channels/{channel}.json": write_channel(bucket, channel, version)}
    changed = replace(
        state, targets=sign(signed, [load_key(approver)]), channels=next_channels(state, keys, files, now, EXPIRIES)
    )
    advance(bucket, state, changed, keys, now, EXPIRIES)
