"""python -m drill ingest: play it, print what was found; exit 1 where a promise is broken."""

import argparse
import json
import logging
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from drill.ingest import Order, drill
from drill.site import postgresql
from drill.verdict import Verdict


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m drill", description=sys.modules["drill"].__doc__)
    parser.add_argument("what", choices=["ingest"])
    parser.add_argument("--rounds", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--devices", type=int, default=4, help="(default: %(default)s)")
    parser.add_argument("--uploads", type=int, default=4, help="of each device, a round (default: %(default)s)")
    parser.add_argument("--postgresql", action="store_true", help="the ledger on a PostgreSQL (default: SQLite)")
    parser.add_argument("--folder", type=Path, help="keep everything here (default: a temporary folder)")
    parser.add_argument("--json", action="store_true", help="the verdict as JSON")
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with ExitStack() as running:
        temporary = running.enter_context(tempfile.TemporaryDirectory(prefix="hemaloop-drill-"))
        ledger = running.enter_context(postgresql()) if args.postgresql else None
        order = Order(args.rounds, args.seed, args.workers, args.devices, args.uploads, ledger)
        verdict = _play(order, args.folder or Path(temporary))
    _tell(verdict, args.json)
    return 1 if verdict.broken else 0


def _play(order: Order, folder: Path) -> Verdict:
    from hemaloop.imaging.hostile import corpus

    console = Console(stderr=True)
    with console.status("starting") as status:
        return drill(order, folder, corpus(order.seed), status.update)


def _tell(verdict: Verdict, as_json: bool) -> None:
    console = Console()
    if as_json:
        console.print_json(json.dumps(asdict(verdict)))
        return
    console.print(f"{verdict.uploads} uploads ({verdict.hostile} hostile files), {verdict.states}")
    console.print(f"runs: {dict(verdict.runs)}; faults met: {dict(verdict.faults)}")
    console.print(f"{verdict.images} images in {verdict.revisions} revisions, each revision pulled and verified")
    for line in verdict.broken:
        console.print(f"[red]broken:[/] {line}", highlight=False)
    if not verdict.broken:
        console.print("[green]every promise held[/]")


if __name__ == "__main__":
    sys.exit(main())
