"""Run systems without DVC, and compare: what CI does with the quick form.

python -m papers --form quick                      the five systems, honestly
python -m papers --form quick --all                every system under both protocols
python -m papers --form full --protocols fold-0 fold-1 -- hemaloop-all
"""

import argparse
import logging
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product

from papers.compare import write_comparison
from papers.protocols import HONEST, PAPER
from papers.systems import FORMS, ROOT, read_systems

FIVE = ("wbc-cnn", "mobilenetv2-stages", "lab-kmeans-binary", "mobilenetv2-256", "streaming")

log = logging.getLogger(__name__)


def run_all(systems: Sequence[str], protocols: Sequence[str], form: str, jobs: int) -> list[str]:
    """Each run in a process of its own, `jobs` at a time. Returns: those that failed."""
    runs = list(product(systems, protocols))
    with ThreadPoolExecutor(jobs) as threads:
        codes = threads.map(lambda run: _run(run[0], run[1], form), runs)
        return ["-".join(run) for run, code in zip(runs, codes, strict=True) if code != 0]


def _run(system: str, protocol: str, form: str) -> int:
    command = [sys.executable, "-m", "papers.run", system, protocol, "--form", form]
    return subprocess.run(command, cwd=ROOT).returncode


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m papers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("systems", nargs="*", help=f"(default: {', '.join(FIVE)})")
    parser.add_argument("--form", choices=FORMS, default="quick", help="(default: %(default)s)")
    parser.add_argument("--protocols", nargs="+", default=[HONEST], help="(default: honest)")
    parser.add_argument("--all", action="store_true", help="every system, under both protocols")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default: %(default)s)")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    systems = list(read_systems().systems) if asked.all else asked.systems or FIVE
    failed = run_all(systems, [PAPER, HONEST] if asked.all else asked.protocols, asked.form, asked.jobs)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    log.info("wrote %s", write_comparison(asked.form))


if __name__ == "__main__":
    main()
