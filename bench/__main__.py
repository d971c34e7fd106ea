"""Run benchmarks; a table, and .bench/results.json. A goal that is not reached is told, not hidden.

python -m bench                    all of them, small: some minutes
python -m bench --full             all of them, at the sizes that the goals speak of
python -m bench ingesting flow     these; what is known of the others stays in the results
"""

import argparse
import importlib
import inspect
import json
import os
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from bench.ratio import Ratio
from bench.table import show

RESULTS = Path(".bench/results.json")
NAMES = (
    "starting",
    "measuring",
    "finding",
    "duplicates",
    "ingesting",
    "versioning",
    "flow",
    "cluster",
    "memory",
    "fields",
    "preprocessing",
    "training",
    "traffic",
    "device_size",
    "fleet_update",
    "shipped",
)


def main() -> None:
    console = Console()
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--full", action="store_true", help="at the sizes that the goals speak of")
    asked = parser.parse_args()
    found: dict[str, list[Ratio]] = {}
    for name in asked.names or NAMES:
        module = importlib.import_module(f"bench.{name}")
        meaning = (module.__doc__ or "").strip()
        with console.status(meaning.splitlines()[0]):
            found[name] = _run(module, quick=not asked.full)
        console.print(f"\n[bold]{name}[/]: {meaning}", highlight=False)
        show(found[name])  # at once: the next one may take minutes
    _keep(found, quick=not asked.full)
    console.print(f"written to {RESULTS}")


def _run(module: ModuleType, quick: bool) -> list[Ratio]:
    """Some have one size only."""
    options = {"quick": quick} if "quick" in inspect.signature(module.run).parameters else {}
    ratios: list[Ratio] = module.run(**options)
    return ratios


def _keep(found: dict[str, list[Ratio]], quick: bool) -> None:
    """Beside what other benchmarks found before."""
    known: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    others = [row for row in known.get("ratios", ()) if row.get("benchmark", "") not in ("", *found)]
    rows = [
        {"benchmark": name, "quick": quick} | asdict(ratio) | {"ratio": ratio.ratio, "reached": ratio.reached}
        for name, ratios in found.items()
        for ratio in ratios
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "ratios": [*others, *rows]}, indent=2))


if __name__ == "__main__":
    main()
