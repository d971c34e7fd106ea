"""hemaloop adapt: fit a model to a new site with few labelled images."""

import argparse
from pathlib import Path


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("adapt", help="fit the model to a new site with few labelled images")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="images in folders named after their classes")
    parser.add_argument("--site", required=True, metavar="NAME", help="the model is written to models/sites/NAME")
    parser.add_argument(
        "--um-per-px", type=float, metavar="UM", help="micrometres per pixel of the images (default: as estimated)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    import subprocess
    import sys

    command = [sys.executable, "-m", "hemaloop.stages.adapt", str(args.folder), "--site", args.site]
    if args.um_per_px is not None:
        command += ["--um-per-px", str(args.um_per_px)]
    return subprocess.run(command).returncode
