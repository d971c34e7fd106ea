"""hemaloop demo: the whole loop on one machine."""

import argparse
import logging
import sys
from pathlib import Path


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("demo", help="play the whole loop on this machine")
    parser.add_argument("--images", type=Path, metavar="DIR", help="a folder of class folders (default: see README.md)")
    parser.add_argument("--home", type=Path, default=Path(".demo"), help="where to play (default: %(default)s)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value in params.yaml, e.g. train.epochs=2",
    )
    parser.add_argument("--pages", action="store_true", help="only start the servers of an earlier demo again, to look")
    parser.add_argument("--env", action="store_true", help="only print the settings of an earlier demo, for a shell")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 120)
    logging.getLogger("hemaloop").setLevel(logging.ERROR)  # the demo says itself what happens
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    if args.env:
        return _environment(args.home.absolute())
    if args.pages:
        from hemaloop.demo.pages import serve

        return serve(args.home.absolute(), console)
    from hemaloop.demo.play import play

    play(args.home.absolute(), args.images, dict(map(_assignment, args.set)), console)
    return 0


def _environment(home: Path) -> int:
    """Lines for `eval`: with them every command, and DVC, works on the demo's own bucket and repository."""
    import shlex

    from hemaloop.demo.pages import environment

    for name, value in environment(home).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _assignment(text: str) -> tuple[str, object]:
    import yaml

    from hemaloop.errors import ConfigError

    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: wanted NAME=VALUE")
    return name, yaml.safe_load(value)
