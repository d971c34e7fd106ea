"""hemaloop approve: show what a version is, and sign it. The signature is the approval."""

import argparse
from datetime import UTC, datetime
from pathlib import Path


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("approve", help="sign a model version, so that devices may run it")
    parser.add_argument("version", type=int, metavar="VERSION", help="the model version in MLflow")
    parser.add_argument(
        "--key", required=True, type=Path, metavar="FILE", help="your approver's key; never on a server"
    )
    parser.add_argument("--reason", required=True, help="why you approve; kept with the release")
    parser.add_argument("--person", help="your name (default: the key's file name)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from hemaloop.config import read_settings
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.registry.bundles import fetch
    from hemaloop.release.approval import approve

    settings = read_settings()
    show(settings.mlflow, args.version)
    bundle = fetch(settings.mlflow, args.version)
    person = args.person or args.key.stem.removeprefix("approver-")
    with bucket_environment(settings):
        found = approve(open_bucket(settings), args.version, bundle, args.key, person, args.reason, datetime.now(UTC))
    print(
        f"version {found.version}: signed by {', '.join(found.people)}, {len(found.people)} of {found.threshold} needed"
    )
    if len(found.people) >= found.threshold:
        print("the release flow publishes it; or now: hemaloop release publish")
    return 0


def show(tracking_uri: str, number: int) -> None:
    """What is about to be signed."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.table import Table

    from hemaloop.registry.versions import CHAMPION, aliased, read_version

    version = read_version(tracking_uri, number)
    champion = aliased(tracking_uri, CHAMPION)
    before = read_version(tracking_uri, champion).metrics if champion else {}
    table = Table("shipped file", f"version {number}", f"champion {champion}", title=f"revision {version.revision}")
    for name in sorted(name for name in version.metrics if name.startswith("int8.")):
        table.add_row(name.removeprefix("int8."), f"{version.metrics[name]:g}", _figure(before.get(name)))
    console = Console()
    console.print(Markdown(version.description))
    console.print(table)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
