"""Promises 3 and 4: each attack and each accident ends with what ran before, still running."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cutting_proxy import CuttingProxy
from device_bench import Cloud, Pi, build, hold, new_pi

from hemaloop.device.home import utc_now
from hemaloop.device.journal import Journal
from hemaloop.device.updates import room
from hemaloop.device.updates.slots import Active
from hemaloop.device.updates.update import NothingReleased, Refused, Updated, UpToDate
from hemaloop.embedded import Server
from hemaloop.errors import ConfigError, TransientError
from hemaloop.release.publish import refresh
from hemaloop.storage import Bucket

pytestmark = pytest.mark.slow


def run_release_one(cloud: Cloud, pi: Pi) -> Active:
    cloud.release(build(1))
    outcome = pi.update()
    assert isinstance(outcome, Updated), outcome
    active = pi.slots.active()
    assert active is not None
    return active


def assert_kept(pi: Pi, before: Active, outcome: object, version: int | None, why: str) -> None:
    """The update was refused for this reason, and what ran before runs."""
    assert isinstance(outcome, Refused), outcome
    assert outcome.version == version
    assert why in outcome.reason
    assert pi.slots.active() == before
    assert pi.answers("monocyte")
    assert [each.reason for each in pi.journal.refusals()] == [outcome.reason]


def test_a_device_follows_its_channel(any_bucket: Bucket, tmp_path: Path) -> None:
    cloud = hold(any_bucket, tmp_path / "keys")
    home = new_pi(cloud, tmp_path / "pi-1")
    with Journal(home.journal) as journal:
        pi = Pi(home, home.read_settings(), journal)
        assert pi.update() == NothingReleased("stable")
        with pytest.raises(ConfigError, match="run `hemaloop-device update`"):
            pi.slots.model()
        assert run_release_one(cloud, pi).slot == "A"
        assert pi.update() == UpToDate(1)
        cloud.release(build(2, fallback=1))
        second = pi.update()
        assert isinstance(second, Updated)
        assert (second.version, second.previous) == (2, 1)
        assert pi.answers("neutrophil")
        assert {name: release.version for name in "AB" if (release := pi.slots.release(name))} == {"A": 1, "B": 2}
        cloud.thief_moves_the_channel(1)  # allowed: the approvers of 2 named it
        assert isinstance(pi.update(), Updated)
        active = pi.slots.active()
        assert active is not None
        assert (active.version, active.highest) == (1, 2)
        assert journal.refusals() == ()
        assert not any(home.downloads.glob("*.part"))


def test_a_bucket_without_releases_is_no_error_until_it_had_some(
    folder_bucket: Bucket, tmp_path: Path, cloud: Cloud, pi: Pi
) -> None:
    before = run_release_one(cloud, pi)
    (tmp_path / "bucket/releases/metadata/timestamp.json").unlink()
    with pytest.raises(TransientError):
        pi.update()
    assert pi.slots.active() == before


def test_tampered_bundle_keeps_the_working_slot(cloud: Cloud, pi: Pi) -> None:
    before = run_release_one(cloud, pi)
    bundle = build(2)
    cloud.release(bundle)
    key = cloud.object_of(bundle)
    genuine = cloud.bucket.read(key)
    cloud.bucket.write(key, genuine[:-1000] + bytes([genuine[-1000] ^ 1]) + genuine[-999:])
    assert_kept(pi, before, pi.update(), 2, "hash")
    cloud.bucket.write(key, genuine)
    assert isinstance(pi.update(), Updated), "nothing of the tampered file was kept"


def test_too_few_signatures_keep_the_working_slot(cloud: Cloud, pi: Pi) -> None:
    before = run_release_one(cloud, pi)
    cloud.thief_publishes_what_is_half_signed(build(2))
    assert_kept(pi, before, pi.update(), None, "targets")


def test_a_model_signed_by_the_channel_key_keeps_the_working_slot(cloud: Cloud, pi: Pi) -> None:
    before = run_release_one(cloud, pi)
    cloud.thief_signs_a_model_as_a_channel(build(2))
    assert_kept(pi, before, pi.update(), 2, "the approvers have signed no models/2.zip")


def test_a_model_of_a_delegated_role_keeps_the_working_slot_even_where_the_delegation_allows_it(
    cloud: Cloud, pi: Pi
) -> None:
    before = run_release_one(cloud, pi)
    cloud.approvers_delegate_every_path()
    cloud.thief_signs_a_model_as_a_channel(build(2))
    assert_kept(pi, before, pi.update(), 2, "the approvers have signed no models/2.zip")


def test_an_older_release_keeps_the_working_slot(cloud: Cloud, pi: Pi) -> None:
    run_release_one(cloud, pi)
    cloud.release(build(2))
    assert isinstance(pi.update(), Updated)
    before = pi.slots.active()
    assert before is not None
    cloud.thief_moves_the_channel(1)
    assert_kept(pi, before, pi.update(), 1, "release 1 is older than release 2")


def test_replayed_metadata_keeps_the_working_slot(cloud: Cloud, pi: Pi) -> None:
    run_release_one(cloud, pi)
    old = cloud.bucket.read("releases/metadata/timestamp.json")
    cloud.release(build(2))
    assert isinstance(pi.update(), Updated)
    before = pi.slots.active()
    assert before is not None
    cloud.bucket.write("releases/metadata/timestamp.json", old)
    assert_kept(pi, before, pi.update(), None, "version")


def test_expired_metadata_stops_updates_and_not_classification(cloud: Cloud, pi: Pi) -> None:
    before = run_release_one(cloud, pi)
    refresh(cloud.bucket, cloud.online, utc_now() - timedelta(days=30))
    assert_kept(pi, before, pi.update(), None, "expired")
    refresh(cloud.bucket, cloud.online, utc_now())
    assert pi.update() == UpToDate(1)


def test_replaced_golden_images_keep_the_working_slot(cloud: Cloud, pi: Pi) -> None:
    before = run_release_one(cloud, pi)
    bundle = build(2)
    golden = dict(bundle.golden, **{"monocyte.png": bundle.golden["lymphocyte.png"]})
    cloud.release(replace(bundle, golden=golden))
    assert_kept(pi, before, pi.update(), 2, "golden image monocyte.png: wanted monocyte, got lymphocyte")
    assert pi.journal.noted("self_test") == (
        "failed: release 2: golden image monocyte.png: wanted monocyte, got lymphocyte"
    )


def test_a_model_that_answers_differently_here_keeps_the_working_slot(cloud: Cloud, pi: Pi) -> None:
    before = run_release_one(cloud, pi)
    bundle = build(2)
    first, *others = bundle.release.golden
    shifted = replace(first, probabilities=tuple(p * 0.9 for p in first.probabilities))
    cloud.release(replace(bundle, release=replace(bundle.release, golden=(shifted, *others))))
    assert_kept(pi, before, pi.update(), 2, "a probability differs by")


def test_a_model_that_is_too_slow_here_keeps_the_working_slot(cloud: Cloud, pi: Pi) -> None:
    before = run_release_one(cloud, pi)
    cloud.release(build(2, latency_budget_ms=1e-6))
    assert_kept(pi, before, pi.update(), 2, "ms here, allowed are")


def test_a_model_that_does_not_load_keeps_the_working_slot(cloud: Cloud, pi: Pi) -> None:
    before = run_release_one(cloud, pi)
    bundle = build(2)
    cloud.release(replace(bundle, model=bundle.model[:100] + bytes(300) + bundle.model[400:]))
    assert_kept(pi, before, pi.update(), 2, "self-test")


def test_a_damaged_model_is_fetched_again(cloud: Cloud, pi: Pi) -> None:
    before = run_release_one(cloud, pi)
    (pi.home.slots / before.slot / "model.tflite").write_bytes(b"a bad block")
    assert isinstance(pi.update(), Updated)
    assert pi.answers("lymphocyte")


def test_dropped_line_keeps_the_working_slot_and_the_download_goes_on_where_it_stopped(
    bucket_server: Server, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = hold(bucket, tmp_path / "keys")
    home = new_pi(cloud, tmp_path / "pi-1")
    with CuttingProxy(bucket_server.port) as proxy, Journal(home.journal) as journal:
        pi = Pi(home, home.read_settings(), journal)
        before = run_release_one(cloud, pi)
        bundle = build(2)
        cloud.release(bundle)
        size = len(cloud.bucket.read(cloud.object_of(bundle)))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        proxy.cut_after(size * 2 // 3)  # bytes of one connection
        with pytest.raises(TransientError):
            pi.update()
        assert pi.slots.active() == before
        assert pi.answers("monocyte")
        assert journal.refusals() == ()
        (part,) = home.downloads.glob("*.part")
        had = part.stat().st_size
        assert had > size // 3
        proxy.cut_after(None)
        assert isinstance(pi.update(), Updated)
        assert proxy.sent < size - had + 50_000, "only the rest was sent, and some metadata"
        proxy.refuse()
        with pytest.raises(TransientError):
            pi.update()
        assert pi.answers("monocyte")


def test_an_update_that_the_disk_cannot_take_is_not_begun(
    cloud: Cloud, pi: Pi, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run_release_one(cloud, pi)
    cloud.release(build(2))
    with monkeypatch.context() as full:
        full.setattr(room, "SPARE_BYTES", 2**60)
        with pytest.raises(TransientError, match=r"release 2: it needs .* MiB of disk, .* nothing was downloaded"):
            pi.update()
    assert not [path for path in pi.home.downloads.iterdir() if path.name != "channel.json"]
    assert pi.slots.active() == before
    assert isinstance(pi.update(), Updated)
