"""hemaloop upload: put a folder of images into the bucket as a device would; without labels."""

import argparse
from pathlib import Path

from hemaloop.commands.import_ import add_subject


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("upload", help="put a folder of images into the bucket as a device would")
    parser.add_argument("folder", type=Path, metavar="DIR")
    add_subject(parser, device_required=True)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from hemaloop.commands.import_ import check, report, send_all, subject_of
    from hemaloop.config import read_settings
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.errors import ConfigError, DataError
    from hemaloop.uploading.folders import plan_unlabelled

    try:
        plan = plan_unlabelled(args.folder, subject_of(args))
    except DataError as error:
        raise ConfigError(str(error)) from error
    found = check(plan)
    settings = read_settings()
    with bucket_environment(settings):
        return report(send_all(open_bucket(settings), found), args.params)
