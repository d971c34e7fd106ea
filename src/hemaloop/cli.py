"""The command line. Each command is a module of hemaloop.commands; only `main` exits."""

import argparse
import importlib
import keyword
import logging
import os
import sys

import hemaloop
from hemaloop.errors import HemaloopError

COMMANDS = (
    "demo",
    "upload",
    "import",
    "watch",
    "ingest",
    "retrain",
    "why",
    "quarantine",
    "forget",
    "calibrate",
    "classify",
    "score",
    "fields",
    "features",
    "adapt",
    "approve",
    "audit",
    "keys",
    "release",
    "rollout",
    "deploy",
    "status",
    "fleet",
    "trace",
)

EPILOG = """\
Settings come from the environment: HEMALOOP_BUCKET (s3://NAME, file:///FOLDER or 'embedded'),
HEMALOOP_HOME, HEMALOOP_LEDGER, HEMALOOP_REPOSITORY, HEMALOOP_MLFLOW, HEMALOOP_KEYS, and AWS_* for S3.
Exit codes: 0 done, 1 bug, 2 usage or configuration, 3 data refused, 4 gate refused, 5 untrusted, 75 try later.
"""


# Other people's chatter on our terminal; said before they are imported.
QUIET = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="hemaloop",
        description=hemaloop.__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=hemaloop.__version__)
    top.add_argument("-v", "--verbose", action="store_true", help="say what is being done")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = f"{name}_" if keyword.iskeyword(name) else name
        importlib.import_module(f"hemaloop.commands.{module}").register(commands)
    return top


def main(arguments: list[str] | None = None) -> None:
    """Parse, call, exit."""
    args = parser().parse_args(arguments)
    os.environ |= {name: value for name, value in QUIET.items() if name not in os.environ}
    level = "INFO" if args.verbose else os.environ.get("HEMALOOP_LOG", "WARNING")
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    try:
        sys.exit(args.run(args))
    except HemaloopError as error:
        sys.exit(_refuse(error))
    except ModuleNotFoundError as error:
        print(f"hemaloop: {error}: this needs the whole install: pip install 'hemaloop[cloud]'", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def _refuse(error: HemaloopError) -> int:
    print(f"hemaloop: {error}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    main()
