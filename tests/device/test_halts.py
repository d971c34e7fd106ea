"""A halt reaches a device whatever else has expired: it rides on the timestamp."""

import copy
from datetime import timedelta
from pathlib import Path

import pytest
from device_bench import Cloud, new_pi
from tuf.api.metadata import Snapshot

from hemaloop.device.home import Home, utc_now
from hemaloop.device.transport import open_transport
from hemaloop.device.updates.repository import SignedReleases
from hemaloop.errors import ConfigError, TransientError, UntrustedError
from hemaloop.release.keys.ceremony import hold_ceremony
from hemaloop.release.keys.rotation import rotate
from hemaloop.release.keys.signers import load_key
from hemaloop.release.metadata import TIMESTAMP, read_state, read_timestamp, sign
from hemaloop.release.online import halt, unhalt
from hemaloop.release.parameters import Expiries
from hemaloop.release.publish import refresh
from hemaloop.storage import Bucket

PEOPLE = ("ada", "bela", "chen")


@pytest.fixture
def home(cloud: Cloud, tmp_path: Path) -> Home:
    return new_pi(cloud, tmp_path / "pi-1")


def look(home: Home) -> SignedReleases:
    return SignedReleases(home, open_transport(home.read_settings().bucket))


def test_a_halt_reaches_a_device_and_is_lifted_again(cloud: Cloud, home: Home) -> None:
    assert look(home).halted() == frozenset()
    assert halt(cloud.bucket, cloud.online, 3, utc_now()) == {3}
    assert halt(cloud.bucket, cloud.online, 2, utc_now()) == {2, 3}
    releases = look(home)
    assert releases.halted() == {2, 3}
    assert releases.channel("stable") is None  # one look, one refresh

    before = cloud.bucket.read(TIMESTAMP)
    assert halt(cloud.bucket, cloud.online, 3, utc_now()) == {2, 3}
    assert cloud.bucket.read(TIMESTAMP) == before
    refresh(cloud.bucket, cloud.online, utc_now())
    assert look(home).halted() == {2, 3}

    assert unhalt(cloud.bucket, cloud.online, 3, utc_now()) == {2}
    assert look(home).halted() == {2}
    with pytest.raises(ConfigError, match="1 or more"):
        halt(cloud.bucket, cloud.online, 0, utc_now())


@pytest.fixture
def expired(folder_bucket: Bucket, tmp_path: Path) -> Cloud:
    """Nobody has signed targets, snapshot or channels for a month."""
    cloud = Cloud(folder_bucket, tmp_path / "keys/offline", tmp_path / "keys/online")
    expiries = Expiries(root=365, targets=7, snapshot=7, timestamp=1, channels=7)
    hold_ceremony(folder_bucket, cloud.offline, cloud.online, PEOPLE, 2, utc_now() - timedelta(days=30), expiries)
    return cloud


def test_a_halt_reaches_a_device_that_expired_targets_keep_from_updating(expired: Cloud, tmp_path: Path) -> None:
    home = new_pi(expired, tmp_path / "pi-1")
    halt(expired.bucket, expired.online, 3, utc_now())

    releases = look(home)

    assert releases.halted() == {3}
    with pytest.raises(UntrustedError, match="expired"):
        releases.channel("stable")
    assert releases.halted() == {3}

    refresh(expired.bucket, expired.online, utc_now())  # snapshot and channels; targets are for people
    assert look(home).halted() == {3}
    with pytest.raises(UntrustedError, match="targets is expired"):
        look(home).channel("stable")


def test_a_halt_wants_the_timestamps_key_and_good_metadata_of_no_other_role(cloud: Cloud, home: Home) -> None:
    state = read_state(cloud.bucket)
    cloud.bucket.write(f"releases/metadata/{state.snapshot.signed.version}.snapshot.json", b"damaged")
    for role in (Snapshot.type, "channels"):
        (cloud.online / f"{role}.pem").unlink()

    halt(cloud.bucket, cloud.online, 3, utc_now())
    assert look(home).halted() == {3}

    stranger = cloud.offline / "approver-ada.pem"
    (cloud.online / "timestamp.pem").write_bytes(stranger.read_bytes())
    with pytest.raises(UntrustedError, match="does not count for timestamp"):
        halt(cloud.bucket, cloud.online, 4, utc_now())
    assert look(home).halted() == {3}


@pytest.mark.parametrize("broken", ["channels.pem", "snapshot.pem", "metadata"])
def test_refresh_keeps_halts_reaching_devices_where_it_can_keep_nothing_else_fresh(
    cloud: Cloud, home: Home, broken: str
) -> None:
    halt(cloud.bucket, cloud.online, 3, utc_now() - timedelta(hours=23))
    if broken == "metadata":
        cloud.bucket.write(
            f"releases/metadata/{read_state(cloud.bucket).snapshot.signed.version}.snapshot.json", b"bad"
        )
    else:
        (cloud.online / broken).unlink()
    with pytest.raises((ConfigError, UntrustedError), match=r"No such file|is not what"):
        refresh(cloud.bucket, cloud.online, utc_now())
    later = utc_now() + timedelta(hours=20)
    assert SignedReleases(home, open_transport(home.read_settings().bucket), later).halted() == {3}


def test_the_last_good_halt_counts_while_it_is_valid(cloud: Cloud, home: Home, tmp_path: Path) -> None:
    halt(cloud.bucket, cloud.online, 3, utc_now())
    assert look(home).halted() == {3}
    old = cloud.bucket.read(TIMESTAMP)
    halt(cloud.bucket, cloud.online, 4, utc_now())
    assert look(home).halted() == {3, 4}

    cloud.bucket.write(TIMESTAMP, old)
    assert look(home).halted() == {3, 4}, "a replayed timestamp lifts no halt"
    (tmp_path / "bucket").rename(tmp_path / "away")
    assert look(home).halted() == {3, 4}, "nor does a bucket out of reach"
    with pytest.raises((TransientError, ConfigError)):
        look(home).channel("stable")


def test_an_expired_timestamp_says_nothing(cloud: Cloud, home: Home) -> None:
    halt(cloud.bucket, cloud.online, 3, utc_now() - timedelta(days=30))
    with pytest.raises(UntrustedError, match="expired"):
        look(home).halted()
    halt(cloud.bucket, cloud.online, 4, utc_now())
    assert look(home).halted() == {3, 4}
    later = SignedReleases(home, open_transport(home.read_settings().bucket), utc_now() + timedelta(days=1, minutes=1))
    with pytest.raises(UntrustedError, match="expired"):
        later.halted()


def test_a_halt_of_a_stolen_timestamp_key_counts_until_root_names_another(cloud: Cloud, home: Home) -> None:
    stolen = load_key(cloud.online / "timestamp.pem")
    halt(cloud.bucket, cloud.online, 3, utc_now())
    assert look(home).halted() == {3}
    keys = [cloud.offline / f"root-{person}.pem" for person in PEOPLE[:2]]
    found = rotate(cloud.bucket, keys, cloud.online, utc_now(), ["timestamp", "snapshot"])
    assert found.halted == (3,), "whoever rotates is told what stays halted, a thief may have said it"
    unhalt(cloud.bucket, cloud.online, 3, utc_now())

    thiefs = copy.deepcopy(read_timestamp(cloud.bucket, read_state(cloud.bucket).root).signed)
    thiefs.version += 5
    thiefs.unrecognized_fields["hemaloop"] = {"halted": [1]}
    good = cloud.bucket.read(TIMESTAMP)
    cloud.bucket.write(TIMESTAMP, sign(thiefs, [stolen]).data)
    with pytest.raises(UntrustedError, match="timestamp was signed by 0/1"):
        look(home).halted()
    cloud.bucket.write(TIMESTAMP, good)
    assert look(home).halted() == frozenset()
