"""The flow and the command: reports in the bucket become decisions about the devices' channel."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from release_site import Site, bundle, now

from hemaloop.cli import main
from hemaloop.protocol.channel import Channel, channel_target, wanted_version
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import report_key
from hemaloop.protocol.report import Report
from hemaloop.release.auditing import verify_log
from hemaloop.release.publish import publish

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("prefect_harness"),
    # Prefect's own: its server's models, and the sockets of its clients.
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*unclosed.*socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*unclosed.*socket:pytest.PytestUnraisableExceptionWarning"),
]

PARAMS = Path(__file__).parents[2] / "params.yaml"
FLEET = [f"pi-{number}" for number in range(6)]


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """Phases of 25 and 100 %, without waiting."""
    found = yaml.safe_load(PARAMS.read_text())
    phases = [{"percent": percent, "devices": 1, "images": 10, "hours": 0.0} for percent in (25.0, 100.0)]
    found["rollout"] |= {"phases": phases, "good_looks": 1, "bad_looks": 1}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(found))
    return path


@pytest.fixture
def site(folder_site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Site:
    """Version 1 everywhere, version 2 approved."""
    monkeypatch.setenv("HEMALOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HEMALOOP_BUCKET", folder_site.bucket.url)
    monkeypatch.setenv("HEMALOOP_KEYS", str(folder_site.online))
    monkeypatch.chdir(tmp_path)
    folder_site.approve(1, ["anna", "bob"])
    publish(folder_site.bucket, folder_site.online, "stable", now(), staged=True)
    folder_site.approve(2, ["anna", "bob"], bundle(2, 1))
    publish(folder_site.bucket, folder_site.online, "stable", now(), staged=True)
    return folder_site


def channel(site: Site) -> Channel:
    data = site.device("watching").read(channel_target("stable"))
    assert data is not None
    return decode(data, Channel)


def report(site: Site) -> list[int]:
    """Every device does what its channel says and reports it; the versions."""
    known = channel(site)
    for device in FLEET:
        version = wanted_version(known, device)
        at = datetime.now(UTC)
        labels = {"neutrophil": 20, "monocyte": 3}
        said = Report(device, at, "1", version, "passed", classified=labels, latency_ms=50.0, channel="stable")
        site.bucket.write(report_key(device, at), encode(said))
    return [wanted_version(known, device) for device in FLEET]


def look(params: Path) -> list[tuple[str, str]]:
    from flows.fleet import fleet
    from flows.rollout import rollout

    fleet(str(params))
    return [(row["channel"], row["action"]) for row in rollout(str(params))]


def test_reports_bring_a_release_to_all_devices_phase_by_phase(
    site: Site, params: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(report(site)) == {1}
    assert look(params) == [("stable", "hold")]
    versions = report(site)
    assert set(versions) == {1, 2}
    assert look(params) == [("stable", "advance")]
    assert set(report(site)) == {2}
    assert look(params) == [("stable", "finish")]
    assert channel(site) == Channel("stable", 2)
    assert look(params) == []

    with pytest.raises(SystemExit):
        main(["rollout", "--params", str(params), "status"])
    told = capsys.readouterr().out
    assert "version 2 start, server: it was released" in told
    assert "version 2 finish, server: 6 devices answered" in told
    assert "channel stable: version 2 after 1: finished at 100 %" in told


def test_people_hold_a_rollout_and_pin_devices_by_command(
    site: Site, params: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def type_(*words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["rollout", "--params", str(params), *words, "--person", "anna", "--reason", "to see"])
        return int(str(ended.value.code))

    report(site)
    look(params)
    assert type_("pause") == 0
    report(site)
    assert look(params) == [("stable", "hold")]
    assert type_("resume") == 0
    assert type_("resume") == 4
    assert type_("pin", "pi-0", "1") == 0
    assert wanted_version(channel(site), "pi-0") == 1
    assert type_("unpin", "pi-0") == 0
    assert type_("turn-back") == 0
    assert channel(site) == Channel("stable", 1)
    assert type_("start", "2") == 0
    assert channel(site).rollout is not None
    assert type_("start", "1", "--channel", "canary") == 0
    assert decode(site.device("canary").read(channel_target("canary")) or b"", Channel) == Channel("canary", 1)
    begun = verify_log(site.bucket).entries[-1].entry
    assert (begun.subject, begun.by, begun.reason) == ("channel canary", "anna", "to version 1: to see")
    assert "turned back" in capsys.readouterr().out
