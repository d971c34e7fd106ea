"""hemaloop deploy: register every flow, with its schedule, at a running Prefect server."""

import argparse
from pathlib import Path


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("deploy", help="register every flow, with its schedule, at a running Prefect server")
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="for the schedules (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from flows.serve import POOL, deploy
    from hemaloop.config import read_settings

    for name, schedules in deploy(args.params, read_settings()).items():
        print(f"{name:<10} {schedules}")
    print(f"\nThe flows run where a worker does:  prefect worker start --pool {POOL}")
    return 0
