"""hemaloop-device: parse, call, print, exit. Everything slow is imported when it is needed."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hemaloop.errors import ConfigError, HemaloopError, TransientError

if TYPE_CHECKING:
    from hemaloop.device.home import Home

DATA_REFUSED = 3
UNTRUSTED = 5


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code is the error's: see errors.py."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=args.log, format="%(levelname)s %(message)s", stream=sys.stderr)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except HemaloopError as error:
        print(f"hemaloop-device: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our lines has had enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        from hemaloop.device.disk import explain

        known = explain(error, args.home or Path(os.environ.get("HEMALOOP_DEVICE_HOME", ".")))
        print(f"hemaloop-device: {known}", file=sys.stderr)
        return known.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hemaloop-device", description="Captures, uploads, updates its model, classifies and reports."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--home", type=Path, help="the device's folder (default: $HEMALOOP_DEVICE_HOME)")
    common.add_argument("--log", choices=("DEBUG", "INFO", "WARNING"), default="INFO", help="what goes to stderr")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_init(commands.add_parser("init", parents=[common], help="set a device up"))
    run = commands.add_parser(
        "run", parents=[common], help="capture, upload, update, classify, report; again and again"
    )
    often = run.add_mutually_exclusive_group()
    often.add_argument("--once", action="store_true", help="one round; exit with the gravest problem's code")
    often.add_argument("--every", type=float, default=60.0, metavar="SECONDS", help="between two rounds (default: 60)")
    run.set_defaults(run=_run)
    update = commands.add_parser("update", parents=[common], help="fetch, test and run what the channel wants")
    update.add_argument("--again", action="store_true", help="give releases that failed here another try")
    update.set_defaults(run=_update)
    bench = commands.add_parser("bench", parents=[common], help="measure the model that runs; add a row to a table")
    bench.add_argument("--against", type=Path, metavar="TFLITE", help="another model, measured in the same run")
    bench.add_argument("--table", type=Path, default=Path("device-bench.csv"), help="(default: %(default)s)")
    bench.set_defaults(run=_bench)
    classify = commands.add_parser("classify", parents=[common], help="classify images with the model that runs")
    classify.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="an image, or a folder of images")
    classify.add_argument("--json", action="store_true", help="a JSON object a line")
    classify.set_defaults(run=_classify)
    status = commands.add_parser("status", parents=[common], help="how this device is doing")
    status.add_argument("--json", action="store_true", help="as one JSON object")
    status.set_defaults(run=_status)
    return parser


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--id", required=True, help="this device's name")
    parser.add_argument("--bucket", required=True, help="s3://NAME or file:///FOLDER; S3's address and key: AWS_*")
    parser.add_argument("--root", required=True, type=Path, help="the TUF root.json to trust")
    parser.add_argument("--channel", required=True, help="the channel to follow")
    parser.add_argument("--camera", help="a folder that a camera writes images to, usb:0, or replay:FOLDER_OR_VIDEO")
    parser.add_argument("--slide", help="pseudonym of the slide under the microscope")
    parser.add_argument("--patient", help="pseudonym of the patient")
    parser.add_argument("--stain", help="e.g. giemsa")
    parser.add_argument("--um-per-px", type=float, help="micrometres per pixel")
    parser.add_argument("--spool-bytes", type=int, default=2**30, help="most that waits on this disk (default: 1 GiB)")
    parser.set_defaults(run=_init)


def _home(args: argparse.Namespace) -> "Home":
    from hemaloop.device.home import Home

    folder = args.home or os.environ.get("HEMALOOP_DEVICE_HOME")
    if not folder:
        raise ConfigError("no home folder: give --home FOLDER or set HEMALOOP_DEVICE_HOME")
    return Home(Path(folder).absolute())


def _init(args: argparse.Namespace) -> int:
    from hemaloop.device.home import DeviceSettings, set_up
    from hemaloop.errors import DataError

    home = _home(args)
    try:
        settings = DeviceSettings(
            id=args.id,
            bucket=args.bucket.rstrip("/"),
            channel=args.channel,
            camera=_camera(args.camera),
            slide=args.slide,
            patient=args.patient,
            stain=args.stain,
            um_per_px=args.um_per_px,
            spool_bytes=args.spool_bytes,
        )
        set_up(home, settings, args.root.read_bytes())
    except DataError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
    print(f"{settings.id} is set up in {home.folder}; now: hemaloop-device update --home {home.folder}")
    return 0


def _camera(asked: str | None) -> str | None:
    """With whole paths: the agent may run from elsewhere."""
    if asked is None or asked.startswith("usb:"):
        return asked
    if asked.startswith("replay:"):
        return f"replay:{Path(asked.removeprefix('replay:')).absolute()}"
    return str(Path(asked).absolute())


def _run(args: argparse.Namespace) -> int:
    import signal
    import threading

    from hemaloop.device.agent import Agent
    from hemaloop.device.home import utc_now
    from hemaloop.device.journal import Journal
    from hemaloop.device.systemd import notify
    from hemaloop.device.transport import open_transport

    home = _home(args)
    settings = home.read_settings()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with Journal(home.journal) as journal:
        agent = Agent(home, settings, journal, open_transport(settings.bucket), utc_now, stopping, notify)
        if not args.once:
            agent.run(args.every)
            return 0
        done = agent.round()
    print(
        f"{settings.id}: captured {done.captured}, uploaded {done.uploaded}, classified {done.classified}, "
        f"reports sent {done.reported}; {done.update}"
    )
    return done.exit_code


def _update(args: argparse.Namespace) -> int:
    from hemaloop.device.home import utc_now
    from hemaloop.device.journal import Journal
    from hemaloop.device.transport import open_transport
    from hemaloop.device.updates.look import forget
    from hemaloop.device.updates.slots import Slots
    from hemaloop.device.updates.update import Refused, update

    home = _home(args)
    settings = home.read_settings()
    with home.locked(), Journal(home.journal) as journal:
        if args.again:
            Slots(home.slots).forget_failures()
            forget(journal)
        outcome = update(home, settings, journal, open_transport(settings.bucket), utc_now)
    if isinstance(outcome, Refused):
        print(f"hemaloop-device: {outcome}", file=sys.stderr)
        return UNTRUSTED
    print(outcome)
    return 0


def _bench(args: argparse.Namespace) -> int:
    from hemaloop.device.benchmark import append, compare, row
    from hemaloop.device.home import utc_now
    from hemaloop.device.updates.slots import Slots

    home = _home(args)
    version, model, images = Slots(home.slots).to_measure()
    ours, theirs = compare(model, args.against, images)
    against = args.against.name if args.against else ""
    measured = row(utc_now(), home.read_settings().id, f"release {version}", ours, against, theirs)
    append(args.table, measured)
    compared = f"; {measured.times_faster} times faster than {against}" if theirs else ""
    figures = f"{ours.latency_ms:.1f} ms an image, {ours.memory_mb:.0f} MB, {ours.size_bytes} bytes{compared}"
    print(f"release {version}: {figures}; a row was added to {args.table}")
    return 0


def _classify(args: argparse.Namespace) -> int:
    import json

    from hemaloop.device.updates.slots import Slots
    from hemaloop.inference.classifier import Classifier
    from hemaloop.inference.lines import answer_line, image_files, text_line

    home = _home(args)
    um_per_px = home.read_settings().um_per_px
    model = Slots(home.slots).model()
    classifier = Classifier(model.content)
    code = 0
    for path in image_files(args.paths):
        line = answer_line(path, classifier, str(model.version), um_per_px)
        print(json.dumps(line, ensure_ascii=False) if args.json else text_line(line))
        if "error" in line:
            code = DATA_REFUSED
    return code


def _status(args: argparse.Namespace) -> int:
    from hemaloop.device.home import utc_now
    from hemaloop.device.journal import Journal
    from hemaloop.device.status import read_status, text
    from hemaloop.protocol.documents import encode

    home = _home(args)
    settings = home.read_settings()
    try:
        journal = Journal(home.journal)
    except TransientError:  # the disk is full or read-only: when, if not then, does one want to know
        journal = Journal.as_it_lies(home.journal)
    with journal:
        status = read_status(home, settings, journal, utc_now())
    print(encode(status).decode() if args.json else text(status))
    return 0


if __name__ == "__main__":
    sys.exit(main())
