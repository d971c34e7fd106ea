"""hemaloop ingest: run the ingest flow, once or again and again."""

import argparse
import json
import time


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("ingest", help="take in what is new in the bucket")
    parser.add_argument("--once", action="store_true", help="end after one round")
    parser.add_argument(
        "--every", type=float, default=60, metavar="SECONDS", help="between rounds (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from flows.ingest import ingest
    from hemaloop.config import read_settings
    from hemaloop.embedded import bucket_environment

    with bucket_environment(read_settings()):
        while True:
            print(json.dumps(ingest()), flush=True)
            if args.once:
                return 0
            time.sleep(args.every)
