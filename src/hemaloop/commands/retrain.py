"""hemaloop retrain: run the retrain flow on the newest dataset revision."""

import argparse
import json


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("retrain", help="train, judge and register a model from the newest dataset revision")
    parser.add_argument(
        "--minimum-new-images", type=int, default=0, metavar="N", help="do nothing with fewer new labelled images"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from flows.retrain import retrain

    done = retrain(minimum_new_images=args.minimum_new_images)
    print(json.dumps(done, indent=2))
    return 4 if str(done.get("gate", "")).startswith("refused") else 0
