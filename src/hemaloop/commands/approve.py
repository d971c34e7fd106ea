"""hemaloop approve: show what a version is, and sign it, or sign that it must never run again."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from hemaloop.protocol.bundle import Release
    from hemaloop.registry.dossier import Dossier
    from hemaloop.release.approvals.approval import Approvals
    from hemaloop.release.parameters import Expiries


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("approve", help="sign a model version, so that devices may run it; or revoke one")
    parser.add_argument("version", type=int, metavar="VERSION", help="the model version in MLflow")
    parser.add_argument(
        "--key",
        required=True,
        metavar="FILE",
        help="your approver's key, never on a server; or a token's, hsm:2?label=ME",
    )
    parser.add_argument(
        "--root", type=Path, metavar="FILE", help="the root.json that you trust (default: beside the key)"
    )
    parser.add_argument("--params", type=Path, help="for its expiries (default: params.yaml, where there is one)")
    parser.add_argument("--reason", help="why you approve; kept with the release (default: you are asked)")
    parser.add_argument("--person", help="your name (default: the key's file name)")
    parser.add_argument(
        "--revoke", action="store_true", help="sign that no device may ever take a released version again"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from hemaloop.config import read_settings
    from hemaloop.embedded import bucket_environment
    from hemaloop.errors import ConfigError

    settings = read_settings()
    key = args.key if args.key.startswith("hsm:") else Path(args.key)
    if isinstance(key, str) and not args.person:
        raise ConfigError("--person: a token does not say whose it is: give your name")
    person = args.person or Path(key).stem.removeprefix("approver-")
    with bucket_environment(settings):
        found = _revoke(args, key, person) if args.revoke else _approve(args, key, person)
    signers = f"{', '.join(found.people)}, {len(found.people)} of {found.threshold} needed"
    print(f"version {found.version}: {'revocation ' if args.revoke else ''}signed by {signers}")
    print(found.shortfall if found.missing else "the release flow publishes it; or now: hemaloop release publish")
    return 0


def _approve(args: argparse.Namespace, key: Path | str, person: str) -> "Approvals":
    from hemaloop.config import read_settings
    from hemaloop.embedded import open_bucket
    from hemaloop.errors import UntrustedError
    from hemaloop.protocol.bundle import unpack
    from hemaloop.registry.bundles import fetch
    from hemaloop.registry.dossier import read_dossier
    from hemaloop.release.approvals.approval import approve

    settings = read_settings()
    dossier, bundle = read_dossier(settings.mlflow, args.version), fetch(settings.mlflow, args.version)
    release = unpack(bundle).release
    if release.dataset_revision != dossier.version.revision:
        raise UntrustedError(
            f"version {args.version}: the bundle is of revision {release.dataset_revision}, MLflow says "
            f"{dossier.version.revision}: find out why before signing"
        )
    _show(release, dossier)
    return approve(
        open_bucket(settings), args.version, bundle, key, person, args.reason or _ask("approve"), datetime.now(UTC),
        author=dossier.version.author, documents=dossier.digests, expiries=_expiries(args), anchor=_anchor(args),
    )  # fmt: skip


def _revoke(args: argparse.Namespace, key: Path | str, person: str) -> "Approvals":
    from hemaloop.config import read_settings
    from hemaloop.embedded import open_bucket
    from hemaloop.release.approvals.records import read_record
    from hemaloop.release.approvals.revocation import revoke

    bucket = open_bucket(read_settings())
    record = read_record(bucket, args.version)
    for approval in () if record is None else record.approvals:
        print(f"version {args.version} was approved by {approval.statement.person}: {approval.statement.reason}")
    return revoke(
        bucket,
        args.version,
        key,
        person,
        args.reason or _ask("revoke"),
        datetime.now(UTC),
        expiries=_expiries(args),
        anchor=_anchor(args),
    )


def _expiries(args: argparse.Namespace) -> "Expiries":
    """Those of the server's params.yaml; an approver elsewhere than in a clone has none, and the usual ones hold."""
    from hemaloop.config import read_section
    from hemaloop.release.parameters import EXPIRIES, ReleaseParams

    path = args.params or Path("params.yaml")
    return read_section(path, "release", ReleaseParams).expiries if args.params or path.exists() else EXPIRIES


def _anchor(args: argparse.Namespace) -> bytes | None:
    return args.root.read_bytes() if args.root else None


def _ask(act: str) -> str:
    """A reason, from a person at a terminal. Raises: ConfigError: nobody is there, or they give none."""
    from hemaloop.errors import ConfigError

    reason = input(f"why do you {act} it? ").strip() if sys.stdin.isatty() else ""
    if not reason:
        raise ConfigError(f"a reason is wanted to {act} a version, it is kept: nothing was signed; give --reason")
    return reason


def _show(release: "Release", dossier: "Dossier") -> None:
    """What is about to be signed: the figures are those in the bundle."""
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.print(Markdown(dossier.card))
    console.print(_figures(release, dossier))
    console.print(_gate(dossier) if dossier.verdicts else "[yellow]MLflow keeps no report of the gate[/]")
    console.print(f"data revision {release.dataset_revision}", highlight=False)
    console.print(f"made by       {dossier.version.author or 'not recorded'}", highlight=False)
    fallback = f"version {release.fallback}" if release.fallback else "nothing"
    console.print(f"falls back to {fallback}", highlight=False)
    tests = f"{len(release.golden)} golden images, tolerance {release.tolerance:g}, {release.latency_budget_ms:g} ms"
    console.print(f"self-test     {tests}", highlight=False)


def _figures(release: "Release", dossier: "Dossier") -> "Table":
    from rich.table import Table

    from hemaloop.registry.dossier import compare

    champion = "no champion" if dossier.champion is None else f"champion {dossier.champion.number}"
    table = Table("shipped file", f"version {release.version} (95 %)", champion, "difference", title="figures signed")
    for row in compare(release.metrics, dossier.before):
        difference = "-" if row.difference is None else f"{row.difference:+.3f}"
        table.add_row(row.figure.name, str(row.figure), str(row.champion), difference)
    return table


def _gate(dossier: "Dossier") -> "Table":
    from rich.table import Table

    table = Table("gate", "holds", "found", "wanted")
    for verdict in dossier.verdicts:
        found = "-" if verdict.found is None else f"{verdict.found:g}"
        table.add_row(verdict.rule, "yes" if verdict.holds else "[red]no[/]", found, verdict.wanted)
    return table
