"""The demo: two rounds of the whole loop, two attacks, and a recovery."""

import logging
import shutil
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from hemaloop.config import Settings, read_classes, read_section, read_settings
from hemaloop.demo import attacks, images, origin, servers, staging, weights
from hemaloop.demo.devices import Microscope
from hemaloop.demo.summary import Device, Model, Revision, Summary, show
from hemaloop.demo.uploads import spoil, upload_blurred, upload_slides
from hemaloop.embedded import bucket_environment, environment, open_bucket
from hemaloop.errors import ConfigError, GateRefused, HemaloopError
from hemaloop.release.approvals.approval import approve
from hemaloop.release.keys.ceremony import hold_ceremony
from hemaloop.release.keys.rotation import rotate
from hemaloop.release.parameters import ReleaseParams
from hemaloop.release.publish import move_channel
from hemaloop.release.rollout.rule import Action
from hemaloop.release.status import Released, status

log = logging.getLogger(__name__)

PEOPLE = ("alice", "bob", "carol", "dora", "emil", "fay", "gus")
DEVICES = ("pi-1", "pi-2")
SEEN = 6  # images before each camera in each round
SEEN_LATER = 2  # before each camera while a rollout is on its way
MOST_LOOKS = 4  # at a rollout of two phases


@dataclass(frozen=True)
class Demo:
    """Where a demo plays, and with what."""

    home: Path
    settings: Settings
    source: images.Source
    release: ReleaseParams
    console: Console
    summary: Summary
    devices: tuple[Microscope, ...]
    params: Path  # params.yaml with the demo's own rollout

    @property
    def approvers(self) -> tuple[Path, ...]:
        """The approvers' keys. In real life they never meet on one machine."""
        return tuple(
            self.home / "keys" / "offline" / f"approver-{name}.pem" for name in PEOPLE[: self.release.approvers]
        )

    @property
    def root_keys(self) -> tuple[Path, ...]:
        return tuple(path.with_name(path.name.replace("approver-", "root-")) for path in self.approvers)


def play(home: Path, folder: Path | None, params: dict[str, Any], console: Console) -> Summary:
    """Play the loop below `home`, which is emptied first; what happened is also in home/summary.json.

    Args:
        folder: images in class folders; None: HEMALOOP_TEST_DATA, else synthetic smears.
        params: changes to params.yaml, by dotted name, for this demo alone.
    """
    _clear(home)
    with environment(demo_environment(home)), ExitStack() as running:
        settings = read_settings()
        summary = Summary()
        told = "set up: repository, bucket, Prefect server, keys, devices, weights to start from"
        with summary.timed(console, told):
            running.enter_context(bucket_environment(settings))
            summary.pages["Prefect"] = running.enter_context(servers.prefect_server(home))
            demo = _set_up(home, settings, folder, params, console, summary)
        try:
            _two_rounds(demo)
        finally:
            _conclude(demo)
    show(console, summary)
    return summary


def _two_rounds(demo: Demo) -> None:
    _take_in(demo, 1)
    version = _train_and_release(demo, 1)
    _follow(demo, f"devices take version {version}, test it on themselves, classify, report")
    _take_in(demo, 2)
    version = _train_and_release(demo, 2)
    with demo.summary.timed(demo.console, f"rollout of version {version} begins"):
        demo.console.print(f"  [dim]{staging.look(demo.params)}[/]")
    told = f"attack: version {version} tampered with in the bucket"
    with demo.summary.timed(demo.console, told), attacks.tampered_bundle(open_bucket(demo.settings), version):
        _must_refuse(demo)
    _roll_out(demo, version)
    with demo.summary.timed(demo.console, "attack: a release signed by one approver and every key of the server"):
        bucket = open_bucket(demo.settings)
        attacks.release_with_too_few_signatures(
            bucket, demo.settings.keys, demo.approvers[0], demo.release.channel, version + 1
        )
        _must_refuse(demo)
    with demo.summary.timed(demo.console, "recovery: root and approvers replace the server's keys"):
        keys = [*demo.root_keys[: demo.release.threshold], *demo.approvers[: demo.release.threshold]]
        rotate(bucket, keys, demo.settings.keys, datetime.now(UTC))
        move_channel(bucket, demo.settings.keys, demo.release.channel, version, datetime.now(UTC))
        for device in demo.devices:
            device.run()
    _fleet(demo)


def _clear(home: Path) -> None:
    """Empty an earlier demo's folder; never anything else."""
    if home.exists() and any(home.iterdir()) and not (home / ".hemaloop-demo").exists():
        raise ConfigError(f"{home} is not empty and is no demo's: choose another --home")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / ".hemaloop-demo").touch()


def demo_environment(home: Path) -> dict[str, str]:
    """Settings under which every hemaloop command works on the demo in `home`."""
    return {
        "HEMALOOP_HOME": str(home),
        "HEMALOOP_BUCKET": "embedded",
        "HEMALOOP_REPOSITORY": str(home / "origin.git"),
        "HEMALOOP_LEDGER": f"sqlite:///{home}/ledger.db",
        "HEMALOOP_WORKSPACE": str(home / "workspace"),
        "HEMALOOP_MLFLOW": f"sqlite:///{home}/mlflow.db",
        "HEMALOOP_KEYS": str(home / "keys" / "online"),
        "HEMALOOP_DOCS": f"http://127.0.0.1:{servers.ports(home)['docs']}",
    } | servers.prefect_environment(home)


def _set_up(
    home: Path, settings: Settings, folder: Path | None, params: dict[str, Any], console: Console, summary: Summary
) -> Demo:
    search = weights.Search(origin.ROOT / "params.yaml", params)
    if origin.create(home / "origin.git"):
        console.print("[yellow]The checkout holds uncommitted changes: the pipeline runs what is committed.[/]")
    classes = read_classes(origin.ROOT / "params.yaml")
    source = images.find(folder, classes, home / "drawn")
    summary.images.source = source.told
    console.print(f"images: {source.told}")
    console.print("[dim]slides are simulated: neighbouring file names are taken for one slide[/]")
    changes = ({"classes": list(source.classes)} if source.classes != classes else {}) | params
    if missing := search.missing():
        console.print(f"[yellow]{missing}[/]")
        console.print(f"[yellow]So this demo asks for random weights by name, for show: {weights.FROM_SCRATCH}[/]")
        changes = weights.FROM_SCRATCH | changes
    if changes:
        origin.change_params(home / "origin.git", changes)
    release = read_section(origin.ROOT / "params.yaml", "release", ReleaseParams)
    bucket = open_bucket(settings)
    offline = home / "keys" / "offline"
    hold_ceremony(bucket, offline, settings.keys, PEOPLE[: release.approvers], release.threshold, datetime.now(UTC))
    devices = tuple(Microscope(name, home / "devices" / name, home / "cameras" / name) for name in DEVICES)
    for device in devices:
        device.set_up(bucket.url, offline / "root.json", release.channel)
    params_file = staging.quick_params(origin.ROOT / "params.yaml", home)
    return Demo(home, settings, source, release, console, summary, devices, params_file)


def _take_in(demo: Demo, number: int) -> None:
    """Uploads of one round, then the ingest flow."""
    from flows.ingest import ingest
    from flows.reconcile import reconcile

    with demo.summary.timed(demo.console, f"round {number}: uploads"):
        bucket = open_bucket(demo.settings)
        count = upload_slides(bucket, demo.source.rounds[number - 1], DEVICES)
        for device, seen in zip(demo.devices, _seen(demo, number), strict=True):
            device.see(seen)
            before = device.status()["uploaded"]
            demo.console.print(f"  [dim]{device.run()}[/]")
            count += device.status()["uploaded"] - before  # what shows nothing new, or nothing sharp, stays there
        if number == 1:
            count += upload_blurred(bucket, demo.home / "spoiled", DEVICES[0])
        demo.summary.images.uploaded += count
    with demo.summary.timed(demo.console, f"round {number}: ingest, validate, quarantine, version"):
        reconcile()  # images are filed under the day of their files, which may be long ago
        found = ingest()
        _count(demo.summary, found)
    demo.console.print(f"  [dim]{found}[/]")


def _seen(demo: Demo, number: int) -> list[list[Path]]:
    """What comes before each camera: other images each time, and in round one everything that can be wrong."""
    camera, stride = demo.source.camera, 2 * len(DEVICES)
    seen = [list(camera[(number - 1) * len(DEVICES) + place :: stride])[:SEEN] for place in range(len(DEVICES))]
    if number == 1:
        seen[0] += spoil(demo.source, demo.home / "spoiled")
    return seen


def _count(summary: Summary, found: dict[str, Any]) -> None:
    images_ = summary.images
    images_.accepted += found["accepted"]
    images_.duplicates += found["duplicates"]
    images_.quarantined = dict(Counter(images_.quarantined) + Counter(found["quarantined"]))


def _train_and_release(demo: Demo, number: int) -> int:
    """The retrain flow, the approvals, the release flow; the version that is released."""
    from flows.retrain import retrain

    with demo.summary.timed(demo.console, f"round {number}: train, prune, quantise, evaluate, gate, register"):
        found = retrain()
    model = Model(found["version"], _figures(found, "float"), _figures(found, "int8"), found["gate"])
    demo.summary.models.append(model)
    demo.summary.revisions.append(Revision(found["revision"], found["images"]))
    if model.version is None:
        raise GateRefused(f"round {number}: gate {model.gate}; nothing is released, devices keep what they run")
    with demo.summary.timed(demo.console, f"round {number}: approvals and release"):
        model.approved_by = _approve_and_publish(demo, model.version, number)
    return model.version


def _figures(found: dict[str, Any], name: str) -> dict[str, Any]:
    return {figure: found["metrics"][name][figure] for figure in ("bytes", "macro_sensitivity", "latency_ms")}


def _approve_and_publish(demo: Demo, version: int, number: int) -> list[str]:
    """Approvers sign until the threshold; before that nothing is published."""
    from hemaloop.registry.bundles import fetch

    bucket = open_bucket(demo.settings)
    bundle = fetch(demo.settings.mlflow, version)
    signers = demo.approvers[number - 1 :][: demo.release.threshold]
    for key in signers:
        if version in _released(demo):
            raise HemaloopError(f"version {version} was published before enough approvers signed")
        person = key.stem.removeprefix("approver-")
        approve(bucket, version, bundle, key, person, f"demo, round {number}: figures looked at", datetime.now(UTC))
    if version not in (released := _released(demo)):
        raise HemaloopError(f"version {version} was approved, but only {', '.join(map(str, released))} are released")
    return [approval.statement.person for approval in released[version].approvals]


def _released(demo: Demo) -> dict[int, Released]:
    """What is released after the release flow has looked."""
    from flows.release import release

    release(str(demo.params))
    found = status(open_bucket(demo.settings), datetime.now(UTC))
    return {each.version: each for each in found.releases}


def _roll_out(demo: Demo, version: int) -> None:
    """Devices report, the rule looks, until it is content with all of them."""
    for number in range(MOST_LOOKS):
        for place, device in enumerate(demo.devices):
            first = 2 * SEEN + number * SEEN_LATER  # what no round showed
            device.see(list(demo.source.camera[place :: len(demo.devices)])[first : first + SEEN_LATER])
        _follow(demo, f"rollout of version {version}: devices follow, look {number + 1}")
        row = staging.look(demo.params)
        demo.console.print(f"  [dim]{row}[/]")
        if row["action"] == Action.FINISH:
            _released(demo)  # MLflow's champion follows
            return
    raise HemaloopError(f"the rollout of version {version} has not finished: {row}")


def _follow(demo: Demo, told: str) -> None:
    """Every device updates, classifies what its camera saw, and reports."""
    with demo.summary.timed(demo.console, told):
        said = [device.run() for device in demo.devices]
    for line in said:
        demo.console.print(f"  [dim]{line}[/]")


def _must_refuse(demo: Demo) -> None:
    """Offer what is in the bucket; a device that takes it ends the demo."""
    for device in demo.devices:
        before = device.status()["version"]
        demo.console.print(f"  [dim]{device.run()}[/]")
        if (after := device.status()["version"]) != before:
            raise HemaloopError(f"{device.id} moved from version {before} to {after}: it must have refused")


def _fleet(demo: Demo) -> None:
    from flows.fleet import fleet

    with demo.summary.timed(demo.console, "reports of the fleet"):
        reported = {row["device"]: row for row in fleet()["devices"]}
        for device in demo.devices:
            status, row = device.status(), reported[device.id]
            demo.summary.devices.append(
                Device(device.id, status["version"], status["self_test"], row["classified"], row["refused_updates"])
            )


def _conclude(demo: Demo) -> None:
    """Whatever happened, say where to look."""
    ports = servers.ports(demo.home)
    demo.summary.pages |= {
        "MLflow": f"http://127.0.0.1:{ports['mlflow']}",
        "Data Docs": f"http://127.0.0.1:{ports['docs']}",
    }
    demo.summary.write(demo.home / "summary.json")
