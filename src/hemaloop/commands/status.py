"""hemaloop status: where everything stands, on one screen."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from hemaloop.config import Settings


SHOWN_ROUNDS = 5


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("status", help="uploads, models and devices on one screen")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from hemaloop.config import read_settings

    settings = read_settings()
    Console().print(_uploads(settings), _reconciled(settings), _rounds(settings), _models(settings), _devices(settings))
    return 0


def _uploads(settings: "Settings") -> "Table":
    from rich.table import Table

    from hemaloop.ingest.ledger import Ledger

    table = Table("state", "uploads", title="Ledger", title_justify="left")
    for state, count in sorted(Ledger(settings.ledger).counts().items()):
        table.add_row(state, str(count))
    return table


def _reconciled(settings: "Settings") -> str:
    from hemaloop.ingest.ledger import Ledger
    from hemaloop.ingest.reconciling import last_reconciliation

    found = last_reconciliation(Ledger(settings.ledger))
    if found is None:
        return "The bucket was never looked at as a whole: `hemaloop ingest --once` does so.\n"
    return (
        f"The whole bucket was last looked at {found.started_at:%Y-%m-%d %H:%M} UTC: {found.objects} objects, "
        f"{found.lists} LISTs,\n{found.entered} new uploads, {found.missed} of them where no poll looks, "
        f"{found.lone_sidecars} sidecars without an image.\n"
    )


def _rounds(settings: "Settings") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    from hemaloop.ingest.ledger import Ledger
    from hemaloop.ingest.rounds import newest_rounds

    table = Table("round", "uploads", "refused", "suspect", title="Newest rounds of ingest", title_justify="left")
    for each in newest_rounds(Ledger(settings.ledger), SHOWN_ROUNDS):
        suspect = f"[red]{escape(each.suspect)}[/]\n{settings.docs}/{each.docs}" if each.suspect else ""
        table.add_row(f"{each.at:%Y-%m-%d %H:%M} UTC", str(each.uploads), str(each.refused), suspect)
    return table


def _models(settings: "Settings") -> "Table":
    from rich.table import Table

    from hemaloop.registry.versions import list_versions

    table = Table("version", "alias", "revision", "macro sensitivity", title="Models", title_justify="left")
    if settings.mlflow.startswith("sqlite:///") and not Path(settings.mlflow.removeprefix("sqlite:///")).exists():
        return table
    for version in list_versions(settings.mlflow):
        figure = version.metrics.get("int8.macro_sensitivity")
        table.add_row(
            str(version.number),
            ", ".join(version.aliases),
            version.revision[:12],
            "-" if figure is None else f"{figure:.3f}",
        )
    return table


def _devices(settings: "Settings") -> "Table":
    from rich.table import Table

    from hemaloop.ingest.fleet.table import fleet
    from hemaloop.ingest.ledger import Ledger

    table = Table(
        "device", "last seen", "version", "self-test", "classified", "refused updates",
        title="Devices (more: `hemaloop fleet status`)", title_justify="left",
    )  # fmt: skip
    for device in fleet(Ledger(settings.ledger)):
        table.add_row(
            device.device, f"{device.last_seen:%Y-%m-%d %H:%M} UTC", str(device.version), device.self_test,
            str(device.classified), str(device.refused_updates),
        )  # fmt: skip
    return table
