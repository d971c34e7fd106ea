"""The drill of docs/how-to/keys.md, as it is written there: each mishap, each command, and devices that follow."""

import copy
import re
import shlex
from pathlib import Path

import pytest
from release_site import Device, Site, bundle, now
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from hemaloop import cli
from hemaloop.errors import ConfigError, UntrustedError
from hemaloop.release.keys.signers import load_key
from hemaloop.release.metadata import CHANNELS, State, read_state, sign, verified
from hemaloop.release.online import halt
from hemaloop.release.publish import publish, refresh, status
from hemaloop.storage import Bucket

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/keys.md").read_text()
STICK = "/media/usb-stick"
SECTIONS = dict(re.findall(r"^##+ ([^\n]+)\n(?:(?!^##).)*?^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
ROLES = ("root", "targets", "snapshot", "timestamp", "channels")


def run(section: str, stick: Path) -> None:
    """The commands of a section."""
    for line in SECTIONS[section].replace(STICK, str(stick)).splitlines():
        program, *arguments = shlex.split(line)
        assert program == "hemaloop"
        args = cli.parser().parse_args(arguments)
        assert args.run(args) == 0, line


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """After the ceremony of the page, with version 1 released."""
    bucket = Bucket(f"file://{tmp_path}/bucket")
    bucket.create()
    site = Site(bucket, tmp_path)
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HEMALOOP_BUCKET", bucket.url)
    monkeypatch.setenv("HEMALOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HEMALOOP_KEYS", str(site.online))
    run("The ceremony", site.offline)
    site.approve(1, ["alice", "bob"])
    publish(bucket, site.online, "stable", now())
    return site


@pytest.fixture
def device(site: Site) -> Device:
    """A device that runs version 1."""
    device = site.device()
    assert (device.channel(), device.model(1)) == (1, bundle(1))
    return device


def key_of(site: Site, role: str) -> Path:
    """The key that is lost or stolen: the server's, or Alice's."""
    people = {"root": site.root_keys("alice")[0], "targets": site.approver("alice")}
    return people.get(role, site.online / f"{role}.pem")


def part_of(state: State, role: str) -> tuple[Root | Targets | Snapshot | Timestamp, Root | Targets | None]:
    """What a role signs, and who says that it may."""
    parts: dict[str, tuple[Root | Targets | Snapshot | Timestamp, Root | Targets | None]] = {
        "root": (state.root, state.root),
        "targets": (state.targets.signed, state.root),
        "snapshot": (state.snapshot.signed, state.root),
        "timestamp": (state.timestamp.signed, state.root),
        "channels": (state.channels.signed, state.targets.signed),
    }
    return parts[role]


def signs_for(site: Site, role: str, signer: CryptoSigner) -> bool:
    """Whether the key is one of those that count for the role."""
    _, delegator = part_of(read_state(site.bucket), role)
    assert delegator is not None
    return signer.public_key.keyid in delegator.get_delegated_role(role).keyids


def assert_all_is_well(site: Site, device: Device) -> None:
    """Whoever saw the old root and whoever is new believe the same; the next version reaches both."""
    for each in (device, site.device("fresh")):
        assert (each.channel(), each.model(1)) == (1, bundle(1))
    new = site.offline / "root-2/approver-alice.pem"
    if new.exists():
        site.approver("alice").write_bytes(new.read_bytes())
    site.approve(2, ["alice", "bob"])
    assert publish(site.bucket, site.online, "stable", now()).version == 2
    refresh(site.bucket, site.online, now())
    for each in (device, site.device("newer")):
        assert (each.channel(), each.model(2)) == (2, bundle(2))


@pytest.mark.parametrize("role", ROLES)
def test_a_lost_key_is_replaced_by_what_the_page_says(site: Site, device: Device, role: str) -> None:
    key = key_of(site, role)
    lost = load_key(key)
    key.unlink()
    if role not in ("root", "targets"):
        with pytest.raises(ConfigError, match="No such file"):
            refresh(site.bucket, site.online, now())
    assert device.channel() == 1

    run(f"A lost {role} key", site.offline)

    assert not signs_for(site, role, lost)
    assert_all_is_well(site, device)


@pytest.mark.parametrize("role", ROLES)
def test_a_stolen_key_counts_no_more_after_what_the_page_says(
    site: Site, device: Device, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stolen = load_key(key_of(site, role))
    if role == "timestamp":  # the thief halts what devices run
        halt(site.bucket, site.online, 1, now())
        assert device.channel() == 1

    run(f"A stolen {role} key", site.offline)

    told = capsys.readouterr().out
    assert "halted: 1" in told if role == "timestamp" else "halted: nothing" in told
    signed, delegator = part_of(read_state(site.bucket), role)
    thiefs = copy.deepcopy(signed)
    thiefs.version += 1
    with pytest.raises(UntrustedError, match="was signed by 0/"):
        verified(sign(thiefs, [stolen]).data, type(thiefs), delegator, role)
    assert_all_is_well(site, device)


def test_a_server_that_was_broken_into_gets_new_keys_by_what_the_page_says(site: Site, device: Device) -> None:
    stolen = {role: load_key(site.online / f"{role}.pem") for role in ("snapshot", "timestamp", CHANNELS)}
    run("A server that was broken into", site.offline)
    assert not any(signs_for(site, role, signer) for role, signer in stolen.items())
    assert_all_is_well(site, device)


def test_somebody_leaves_by_what_the_page_says(site: Site, device: Device) -> None:
    carols = load_key(site.approver("carol"))
    run("Somebody leaves", site.offline)
    assert not signs_for(site, "targets", carols)
    assert signs_for(site, "targets", load_key(site.offline / "root-2/approver-dora.pem"))
    assert_all_is_well(site, device)


def test_signatures_are_renewed_by_what_the_page_says(site: Site, device: Device) -> None:
    before = {role.role: role.version for role in status(site.bucket, now()).roles}
    run("Before signatures expire", site.offline)
    after = {role.role: role.version for role in status(site.bucket, now()).roles}
    assert (after["root"], after["targets"]) == (before["root"] + 1, before["targets"] + 1)
    assert_all_is_well(site, device)


def test_the_drill_to_practise_replaces_a_key_of_each_role(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("Practise", Path("/nowhere"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(ROLES)
    assert all("a device follows; the old key counts no more" in line for line in lines)


def test_the_page_has_a_drill_for_a_lost_and_a_stolen_key_of_each_role() -> None:
    drills = {f"A {what} {role} key" for what in ("lost", "stolen") for role in ROLES}
    assert drills <= SECTIONS.keys()
