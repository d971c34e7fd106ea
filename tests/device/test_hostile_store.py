"""TUF's attacks on a device by the server that it asks: data without an end, or byte by byte, or more than it needs."""

import io
import zipfile

import pytest
from attack_bench import approvers_sign, assert_kept, assert_untouched, file, make_visible, newest, used
from device_bench import Cloud, Pi, build
from hostile_store import HostileStore
from hypothesis import given
from hypothesis import strategies as st
from tuf.api.metadata import Root, Timestamp

from hemaloop.device import pace
from hemaloop.device.updates.update import Updated
from hemaloop.errors import TransientError
from hemaloop.protocol.bundle import pack
from hemaloop.release.metadata import (
    METADATA,
    TIMESTAMP,
    metadata_key,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def cloud(cloud_of_one: Cloud) -> Cloud:
    return cloud_of_one


# Extraneous dependencies


def test_what_a_thief_adds_is_neither_asked_for_nor_unpacked(cloud: Cloud, store: HostileStore, far: Pi) -> None:
    packed = io.BytesIO(pack(build(2)))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("evil.sh", b"evil")
        archive.writestr("../../evil.sh", b"evil")
    approvers_sign(cloud, 2, packed.getvalue())
    paths = ("channels/evil.json", "channels/stable.json.evil", "models/evil.zip", "evil.sh")
    make_visible(cloud, {path: file(cloud, path, b"evil") for path in paths})

    assert isinstance(far.update(), Updated)

    assert far.answers("monocyte")
    assert not [key for key in store.asked if "evil" in key]
    assert not [path for path in far.home.folder.parent.rglob("*evil*") if path.is_relative_to(far.home.folder)]
    assert sum(key.startswith("releases/targets/") for key in store.asked) == 2, "its channel and its release"


# Endless data, slow retrieval


@pytest.mark.parametrize("role", [Root.type, Timestamp.type])
def test_metadata_without_an_end_is_read_no_further_than_it_may_be_long(
    cloud: Cloud, store: HostileStore, far: Pi, role: str
) -> None:
    before = far.slots.active()
    assert before is not None
    cloud.release(build(2))
    if role == Root.type:
        cloud.bucket.write(metadata_key(Root.type, 2), b"{}")
    store.endless = TIMESTAMP if role == Timestamp.type else newest(cloud, role)
    disk = used(far)
    assert_kept(far, before, far.update(), "")
    assert used(far) < disk + 100_000
    assert store.sent < 20_000_000


@pytest.mark.parametrize("prefix", [f"{METADATA}3.targets", "releases/targets/models"])
def test_what_has_no_end_is_read_as_far_as_it_was_signed(
    cloud: Cloud, store: HostileStore, far: Pi, prefix: str
) -> None:
    bundle = build(2)
    cloud.release(bundle)
    store.endless = prefix
    disk = used(far)
    assert isinstance(far.update(), Updated), "all that was signed came, and was good"
    assert used(far) < disk + 3 * len(pack(bundle))


@pytest.mark.parametrize("prefix", ["releases/metadata/timestamp", "releases/targets/models"])
def test_a_server_that_drips_is_left_and_the_device_follows_later(
    cloud: Cloud, store: HostileStore, far: Pi, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setattr(pace, "GRACE_SECONDS", 0.2)
    before = far.slots.active()
    assert before is not None
    cloud.release(build(2))
    store.drips = prefix
    with pytest.raises(TransientError, match="too slow to wait for"):
        far.update()
    assert_untouched(far, before)
    assert not far.journal.refusals()
    store.drips = None
    assert isinstance(far.update(), Updated)


@given(st.integers(0, 10**9), st.floats(0, 10**6), st.integers(0, 10**6), st.floats(0, 10**4))
def test_who_is_fast_enough_is_not_left_and_more_bytes_never_hurt(
    received: int, seconds: float, more: int, grace: float
) -> None:
    if pace.is_too_slow(received + more, seconds, grace):
        assert pace.is_too_slow(received, seconds, grace)
    assert not pace.is_too_slow(received, grace, grace)
    assert not pace.is_too_slow(received, received / pace.SLOWEST_BYTES_PER_S, grace)
