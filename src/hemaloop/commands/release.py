"""hemaloop release: publishing, and how releases stand."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hemaloop.config import Settings
    from hemaloop.release.parameters import ReleaseParams


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("release", help="publish what approvers signed, and see how releases stand")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="(default: %(default)s)")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("publish", help="publish the version that enough approvers signed").set_defaults(run=publish)
    actions.add_parser("status", help="signatures, expiries, channels, approvals").set_defaults(run=status)
    actions.add_parser("refresh", help="sign the online metadata anew").set_defaults(run=refresh)
    withdrawal = actions.add_parser("withdraw", help="drop a version that waits for approvals")
    withdrawal.add_argument("--reason", default="withdrawn", help="why; kept in the audit log")
    withdrawal.set_defaults(run=withdraw)
    for name, told in (("halt", "let no device run a version, from its next look on"), ("unhalt", "lift a halt")):
        halt = actions.add_parser(name, help=told)
        halt.add_argument("version", type=int, metavar="VERSION")
        halt.add_argument("--reason", required=True, help="why; kept in the audit log")
        halt.set_defaults(run=change_halts, event=name)


def publish(args: argparse.Namespace) -> int:
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.release.publish import publish

    settings, params = settings_of(args)
    with bucket_environment(settings):
        bucket, now = open_bucket(settings), datetime.now(UTC)
        done = publish(bucket, settings.keys, params.channel, now, params.expiries, staged=True)
        _mirror(settings, params)
    named = f"version {done.version}, approved by {', '.join(done.approved_by)}" if done.version else "nothing"
    print(f"channel {done.channel}: {named}")
    if done.waiting is not None:
        print(f"version {done.waiting} is released; the rollout flow brings it to devices: hemaloop rollout status")
    return 0


def _mirror(settings: "Settings", params: "ReleaseParams") -> None:
    """MLflow says what the signatures and the channel say."""
    from hemaloop.embedded import open_bucket
    from hemaloop.registry.mirror import Standing, mirror
    from hemaloop.release.status import signed, status

    found = status(open_bucket(settings), datetime.now(UTC), params.expiries)
    standings = {each.version: Standing(each.standing, each.people) for each in signed(found)}
    mirror(settings.mlflow, found.channels.get(params.channel), standings)


def status(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.release.approvals.acts import REVOKE
    from hemaloop.release.status import status, warnings

    settings, params = settings_of(args)
    with bucket_environment(settings):
        found = status(open_bucket(settings), datetime.now(UTC), params.expiries)
    console = Console()
    roles = Table("role", "version", "good until")
    for role in found.roles:
        roles.add_row(role.role, str(role.version), f"{role.expires:%Y-%m-%d %H:%M} UTC")
    releases = Table("version", "approved by", "channels")
    for version in found.releases:
        channels = [name for name, number in found.channels.items() if number == version.version]
        people = [f"{approval.statement.person} ({approval.statement.reason})" for approval in version.approvals]
        releases.add_row(str(version.version), ", ".join(people), ", ".join(channels))
    console.print(roles, releases)
    if found.pending is not None:
        waiting = found.pending
        console.print(
            f"version {waiting.version} waits{' to be revoked' if waiting.act == REVOKE else ''}: "
            f"{len(waiting.people)} of {waiting.threshold} approvals ({', '.join(waiting.people) or 'nobody'})"
        )
    for gone in found.revoked:
        signers = "nobody is recorded" if gone.record is None else ", ".join(gone.record.people)
        console.print(f"[red]version {gone.version} is revoked by {signers}[/]")
    if found.halted:
        console.print(f"[red]halted: {', '.join(map(str, found.halted))}; no device runs them[/]")
    for line in warnings(found, params.expiries):
        console.print(f"[yellow]{line}[/]")
    return 0


def refresh(args: argparse.Namespace) -> int:
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.release.publish import refresh

    settings, params = settings_of(args)
    with bucket_environment(settings):
        done = refresh(open_bucket(settings), settings.keys, datetime.now(UTC), params.expiries)
    print(f"timestamp {done.timestamp}, snapshot {done.snapshot}, channels {done.channels}")
    return 0


def withdraw(args: argparse.Namespace) -> int:
    import getpass

    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.release.approvals.approval import withdraw

    settings, _ = settings_of(args)
    with bucket_environment(settings):
        dropped = withdraw(open_bucket(settings), datetime.now(UTC), getpass.getuser(), args.reason)
    print("nothing was waiting" if dropped is None else f"version {dropped.version} waits no more")
    return 0


def change_halts(args: argparse.Namespace) -> int:
    import getpass

    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.release.audit import append
    from hemaloop.release.online import halt, unhalt

    settings, params = settings_of(args)
    now = datetime.now(UTC)
    with bucket_environment(settings):
        bucket = open_bucket(settings)
        append(bucket, args.event, f"version {args.version}", getpass.getuser(), args.reason, now)
        change = halt if args.event == "halt" else unhalt
        halted = change(bucket, settings.keys, args.version, now, params.expiries)
    print(f"halted: {', '.join(map(str, sorted(halted))) or 'nothing'}")
    return 0


def settings_of(args: argparse.Namespace) -> "tuple[Settings, ReleaseParams]":
    """Of the environment, and section `release` of `--params`."""
    from hemaloop.config import read_section, read_settings
    from hemaloop.release.parameters import ReleaseParams

    return read_settings(), read_section(args.params, "release", ReleaseParams)
