"""hemaloop approve and hemaloop audit, as a person runs them."""

import shlex
from pathlib import Path

import pytest
from release_site import Site, bundle, now

from hemaloop import cli
from hemaloop.release.audit import AUDIT
from hemaloop.release.publish import publish


@pytest.fixture
def installed(folder_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site, as the environment names it; version 1 is released."""
    monkeypatch.setenv("HEMALOOP_HOME", str(folder_site.folder / "home"))
    monkeypatch.setenv("HEMALOOP_BUCKET", folder_site.bucket.url)
    monkeypatch.setenv("HEMALOOP_KEYS", str(folder_site.online))
    monkeypatch.setenv("HEMALOOP_MLFLOW", f"sqlite:///{folder_site.folder}/mlflow.db")
    folder_site.approve(1, ["anna", "bob"])
    publish(folder_site.bucket, folder_site.online, "stable", now())
    return folder_site


def run(line: str) -> int:
    """The exit code of a command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main(shlex.split(line))
    return int(ended.value.code or 0)


def test_a_broken_log_exits_with_5_and_says_where(installed: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit verify") == 0
    assert "4 entries, whole; the last: " in capsys.readouterr().out
    *_, second, _, last = [found.key for found in installed.bucket.list(AUDIT)]
    kept = installed.bucket.read(second)

    installed.bucket.write(second, kept.replace(b"looks good", b"looks bad!"))
    assert run("audit verify") == 5
    assert f"{second}: its content is not what its name says" in capsys.readouterr().err

    installed.bucket.write(second, kept)
    assert run("audit verify") == 0
    installed.bucket.delete(last)  # the end is cut off: this machine has seen it
    assert run("audit verify") == 5
    assert f"entry {last[-69:-5]} was in the log and is gone" in capsys.readouterr().err


def test_a_head_that_somebody_kept_is_looked_for(installed: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"audit verify --root {installed.offline}/root.json --head {'ab' * 32}") == 5
    assert f"entry {'ab' * 32} was in the log and is gone" in capsys.readouterr().err


def test_the_log_is_shown(installed: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert run("audit show --last 3") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "version 1" in line]
    assert len(lines) == 3
    assert "anna" in lines[0]
    assert "looks good" in lines[0]


def test_revoking_wants_a_reason_and_tells_who_approved(installed: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"approve 1 --revoke --key {installed.approver('anna')}") == 2
    assert "a reason is wanted to revoke a version" in capsys.readouterr().err
    assert run(f"approve 1 --revoke --key {installed.approver('anna')} --reason 'misses blasts'") == 0
    out = capsys.readouterr().out
    assert "version 1 was approved by bob: looks good" in out
    assert "version 1: revocation signed by anna, 1 of 2 needed" in out
    assert "hemaloop approve --revoke 1" in out


@pytest.mark.slow
def test_approving_shows_what_is_signed_and_wants_a_reason(
    installed: Site, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hemaloop.registry import bundles
    from hemaloop.registry.versions import MODEL, connect, keep_author

    monkeypatch.setenv("COLUMNS", "160")
    uri = f"sqlite:///{installed.folder}/mlflow.db"
    client = connect(uri)
    experiment = client.create_experiment("test", str(tmp_path / "artifacts"))
    client.create_registered_model(MODEL)
    for _ in (1, 2):
        made = client.create_run(experiment).info.run_id
        client.create_model_version(MODEL, f"runs:/{made}/model", made, tags={"revision": "0" * 40})
    client.log_text(made, "# Card\n\nGood on Tuesdays.", "evaluation/model-card.md")
    client.log_text(made, '[{"rule": "bytes", "holds": true, "found": 10.0, "wanted": "at most 20"}]', "gate.json")
    keep_author(uri, 2, "Bob <bob@lab.example>")
    bundles.attach(uri, 2, bundle(2, 1, metrics={"accuracy": 0.912, "accuracy_low": 0.88, "accuracy_high": 0.94}))

    assert run(f"approve 2 --key {installed.approver('bob')}") == 2
    told = capsys.readouterr()
    assert "a reason is wanted to approve a version" in told.err
    for shown in ("Good on Tuesdays", "0.912 (0.880 to 0.940)", "at most 20", "0" * 40, "Bob <bob@lab.example>"):
        assert shown in told.out
    assert run(f"approve 2 --key {installed.approver('bob')} --reason 'better'") == 0
    assert "version 2: signed by bob, 1 of 2 needed" in capsys.readouterr().out
    client.set_model_version_tag(MODEL, "2", "revision", "1" * 40)
    assert run(f"approve 2 --key {installed.approver('anna')} --reason 'better'") == 5
    assert "find out why before signing" in capsys.readouterr().err
