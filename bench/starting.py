"""The command line's help against a Python that does nothing."""

import subprocess
import sys

from bench.ratio import Ratio, compare


def run() -> list[Ratio]:
    ratios = []
    for module in ("hemaloop.cli", "hemaloop.device.cli"):
        ours, limit = compare(
            lambda module=module: _run("-m", module, "--help"),  # type: ignore[misc]
            lambda: _run("-c", "import argparse"),
        )
        ratios.append(Ratio(f"{module} --help", ours, limit, "starting Python", 4.0))
    return ratios


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
