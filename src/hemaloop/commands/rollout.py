"""hemaloop rollout: how a version reaches devices in phases; start it, hold it, end it, pin a device."""

import argparse
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from hemaloop.release.rollout.course import Course
    from hemaloop.release.rollout.running import Rollouts

ACTS = {
    "pause": "no further phase until it is resumed; what is bad is halted all the same",
    "resume": "let a paused or halted rollout go on; after a halt its phase begins anew",
    "halt": "let no device run the version until it is resumed",
    "turn-back": "give the version up; devices go back where its approvers let them",
}


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("rollout", help="bring a version to devices in phases; hold it, end it, pin a device")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="(default: %(default)s)")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    status = actions.add_parser("status", help="where it stands, and every step with its reason")
    status.set_defaults(run=show_status)
    start = actions.add_parser("start", help="begin a released version's rollout")
    start.add_argument("version", type=int, metavar="VERSION")
    start.set_defaults(run=start_rollout)
    pin = actions.add_parser("pin", help="let a device run a version, whatever its channel says")
    pin.add_argument("device", metavar="DEVICE")
    pin.add_argument("version", type=int, metavar="VERSION")
    unpin = actions.add_parser("unpin", help="let a device follow its channel again")
    unpin.add_argument("device", metavar="DEVICE")
    for parser in (pin, unpin):
        parser.set_defaults(run=pin_device, version=None)
    acting = [start, pin, unpin]
    for name, told in ACTS.items():
        acting.append(actions.add_parser(name, help=told))
        acting[-1].set_defaults(run=act, act=name.replace("-", "_"))
    for parser in acting:
        parser.add_argument("--reason", required=True, help="why; kept in the audit log")
        parser.add_argument("--person", default=getpass.getuser(), help="who decides (default: %(default)s)")
    for parser in (*acting, status):
        parser.add_argument("--channel", help="(default: release.channel of params.yaml)")


def show_status(args: argparse.Namespace) -> int:
    with _rollouts(args) as rollouts:
        course = rollouts.read(datetime.now(UTC))
        known = rollouts.known()
    for step in course.steps:
        print(step)
    _print(course)
    if course.waiting is not None:
        print(f"version {course.waiting} waits for its rollout")
    for device, version in sorted(known.pins.items()):
        print(f"device {device} is pinned to version {version}")
    return 0


def start_rollout(args: argparse.Namespace) -> int:
    from hemaloop.config import read_settings
    from hemaloop.ingest.fleet.table import fleet
    from hemaloop.ingest.ledger import Ledger
    from hemaloop.release.status import status

    now = datetime.now(UTC)
    with _rollouts(args) as rollouts:
        if rollouts.channel not in status(rollouts.bucket, now).channels:
            rollouts.open(args.version, args.person, args.reason, now)
            print(f"channel {rollouts.channel} is new: version {args.version} for all its devices at once")
            return 0
        known = fleet(Ledger(read_settings().ledger))
        devices = [device.device for device in known if device.channel == rollouts.channel]
        _print(rollouts.start(args.version, devices, args.person, args.reason, now))
    return 0


def act(args: argparse.Namespace) -> int:
    with _rollouts(args) as rollouts:
        _print(getattr(rollouts, args.act)(args.person, args.reason, datetime.now(UTC)))
    return 0


def pin_device(args: argparse.Namespace) -> int:
    with _rollouts(args) as rollouts:
        rollouts.pin(args.device, args.version, args.person, args.reason, datetime.now(UTC))
    if args.version is None:
        print(f"device {args.device} follows channel {rollouts.channel}")
    else:
        print(f"device {args.device} is pinned to version {args.version}; it goes back only where its release allows")
    return 0


def _print(course: "Course") -> None:
    state = course.state
    if state is None:
        print(f"channel {course.channel}: no rollout yet")
        return
    print(
        f"channel {course.channel}: version {state.version} after {state.before}: {state.mode} at {state.percent:g} %"
    )
    if course.looked:
        print(f"last look: {course.looked}")


def _rollouts(args: argparse.Namespace) -> "AbstractContextManager[Rollouts]":
    from contextlib import contextmanager

    from hemaloop.config import read_section, read_settings
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.release.parameters import ReleaseParams
    from hemaloop.release.rollout.parameters import RolloutParams
    from hemaloop.release.rollout.running import Rollouts

    release = read_section(args.params, "release", ReleaseParams)
    params = read_section(args.params, "rollout", RolloutParams)

    @contextmanager
    def opened() -> "Iterator[Rollouts]":
        settings = read_settings()
        with bucket_environment(settings):
            channel = args.channel or release.channel
            yield Rollouts(open_bucket(settings), settings.keys, channel, params, release.expiries)

    return opened()
