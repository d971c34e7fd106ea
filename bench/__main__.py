"""Run every benchmark; a table, and .bench/results.json. A goal that is not reached is told, not hidden."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import finding, ingesting, measuring, starting
from bench.ratio import Ratio

RESULTS = Path(".bench/results.json")


def main() -> None:
    console = Console()
    ratios: list[Ratio] = []
    for part in (starting, measuring, finding, ingesting):
        with console.status(f"{part.__doc__}"):
            ratios += part.run()
    RESULTS.parent.mkdir(exist_ok=True)
    found = [asdict(ratio) | {"ratio": ratio.ratio, "reached": ratio.reached} for ratio in ratios]
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "ratios": found}, indent=2))
    console.print(_table(ratios), f"written to {RESULTS}", sep="\n")


def _table(ratios: list[Ratio]) -> Table:
    table = Table("what", "seconds", "limit", "seconds", "ratio", "goal: at most", "reached")
    for each in ratios:
        figures = (f"{each.ratio:.2f}", f"{each.goal:g}", "yes" if each.reached else "[red]no[/]")
        table.add_row(each.name, f"{each.ours:.3f}", each.limit_is, f"{each.limit:.3f}", *figures)
    return table


if __name__ == "__main__":
    main()
