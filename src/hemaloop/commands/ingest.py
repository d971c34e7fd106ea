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
    parser.add_argument(
        "--reconcile-every",
        type=float,
        default=3600,
        metavar="SECONDS",
        help="first and then this often, look at the whole bucket, not at recent days alone; "
        "0: never (default: %(default)s)",
    )
    parser.add_argument(
        "--dask",
        default="",
        metavar="ADDRESS",
        help="scheduler of a Dask cluster to measure on (default: HEMALOOP_DASK)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from flows.ingest import ingest
    from flows.reconcile import reconcile
    from hemaloop.config import read_settings
    from hemaloop.embedded import bucket_environment

    with bucket_environment(read_settings()):
        due = time.monotonic()
        while True:
            if args.reconcile_every > 0 and time.monotonic() >= due:
                due = time.monotonic() + args.reconcile_every
                print(json.dumps({"reconciled": reconcile()}), flush=True)
            print(json.dumps(ingest(dask=args.dask)), flush=True)
            if args.once:
                return 0
            time.sleep(args.every)
