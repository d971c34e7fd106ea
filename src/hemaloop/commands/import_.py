"""hemaloop import: labelled images, by the door that devices use."""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from hemaloop.storage import Bucket
    from hemaloop.uploading.item import Item, Plan, Subject
    from hemaloop.uploading.sending import Ready, Sent

Work = TypeVar("Work")
Done = TypeVar("Done")


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("import", help="put labelled images into the bucket: class folders, CSV, VOC boxes")
    parser.add_argument("folder", type=Path, metavar="DIR", help="the images; by default in folders named by class")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", type=Path, metavar="FILE", help="columns file,label and more (docs/how-to/import.md)")
    form.add_argument("--voc", action="store_true", help="cut the boxes of PASCAL VOC annotations into cells")
    parser.add_argument(
        "--map", action="append", default=[], metavar="NAME=CLASS", help="what a label means; NAME= leaves it out"
    )
    parser.add_argument(
        "--margin", type=float, default=0.1, metavar="SHARE", help="around a box, of its longer side (%(default)s)"
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, send nothing")
    add_subject(parser, device_required=False)
    parser.add_argument("--labelled-by", metavar="PERSON", help="whose statement the labels are")
    parser.set_defaults(run=run)


def add_subject(parser: argparse.ArgumentParser, device_required: bool) -> None:
    """What is known of all images; `hemaloop upload` asks the same."""
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="classes and days (default: %(default)s)"
    )
    parser.add_argument("--device", required=device_required, metavar="ID", help="the device that the images come from")
    parser.add_argument("--slide", metavar="ID", help="pseudonym of the slide that all of them show")
    parser.add_argument("--patient", metavar="ID", help="pseudonym of the patient")
    parser.add_argument("--stain", help="for example may-gruenwald-giemsa")
    parser.add_argument("--um-per-px", type=float, metavar="X", help="micrometres per pixel")
    parser.add_argument("--captured-at", metavar="TIME", help="ISO 8601 with its zone (default: each file's own time)")


def run(args: argparse.Namespace) -> int:
    from hemaloop.config import bucket_url, read_settings
    from hemaloop.embedded import bucket_environment, open_bucket

    plan, settings = plan_of(args), read_settings()
    if not args.dry_run:
        bucket_url(settings)
    found = check(plan)
    print(summary(plan))
    if args.dry_run:
        print(f"nothing was sent: this was a dry run; the first would be {found[0].key}")
        return 0
    with bucket_environment(settings):
        return report(send_all(open_bucket(settings), found), args.params)


def plan_of(args: argparse.Namespace) -> "Plan":
    """What the form at hand says. Raises: ConfigError, DataError."""
    from hemaloop.config import read_classes
    from hemaloop.errors import ConfigError
    from hemaloop.uploading.folders import plan_folders
    from hemaloop.uploading.item import Labels
    from hemaloop.uploading.table import plan_table
    from hemaloop.uploading.voc import plan_voc

    if not 0 <= args.margin <= 1:
        raise ConfigError(f"--margin {args.margin}: wanted a share of the box, 0 to 1")
    if args.csv is None and not args.device:
        raise ConfigError("no device: say with --device where the images come from")
    subject, labels = subject_of(args), Labels(read_classes(args.params), dict(map(_assignment, args.map)))
    if args.csv is not None:
        return plan_table(args.csv, args.folder, subject, labels)
    if args.voc:
        return plan_voc(args.folder, subject, labels, args.margin)
    return plan_folders(args.folder, subject, labels)


def subject_of(args: argparse.Namespace) -> "Subject":
    """Raises: ConfigError: something that cannot stand in a sidecar."""
    from hemaloop.errors import ConfigError, DataError
    from hemaloop.uploading.item import Subject
    from hemaloop.uploading.table import parse_time

    by = getattr(args, "labelled_by", None)
    try:
        at = parse_time(args.captured_at) if args.captured_at else None
        return Subject(args.device or "", args.slide, args.patient, args.stain, args.um_per_px, by, at)
    except DataError as error:
        raise ConfigError(str(error)) from error


def check(plan: "Plan") -> "list[Ready]":
    """Read every file once. Raises: DataError: with every reason not to send them."""
    from hemaloop.errors import DataError
    from hemaloop.uploading.sending import Ready, contradictions, prepare

    def attempt(item: "Item") -> Ready | str:
        try:
            return prepare(item)
        except OSError as error:
            return f"{item.path} cannot be read: {error}"

    results = progress(attempt, plan.items, "checking")
    found = sorted((each for each in results if isinstance(each, Ready)), key=lambda each: (each.item.path, each.key))
    problems = [*plan.problems, *(each for each in results if isinstance(each, str)), *contradictions(found)]
    if problems:
        raise DataError("\n".join([f"nothing was sent, for {len(problems)} reasons:", *problems]))
    if not found:
        raise DataError("there is nothing to import: every label was left out")
    return found


def send_all(bucket: "Bucket", found: "Sequence[Ready]") -> "list[Sent]":
    from hemaloop.uploading.sending import send, what_is_there

    there = what_is_there(bucket, found)
    return sorted(progress(lambda ready: send(bucket, ready, there), found, "uploading"), key=lambda sent: sent.key)


def progress(work: Callable[[Work], Done], items: Sequence[Work], words: str) -> list[Done]:
    from rich.console import Console
    from rich.progress import track

    from hemaloop.uploading.sending import in_threads

    return list(track(in_threads(work, items), words, total=len(items), console=Console(stderr=True)))


def summary(plan: "Plan") -> str:
    """What is about to be sent, and what should be known of it before."""
    labels = Counter(item.said.label for item in plan.items)
    lines = [f"{len(plan.items)} images: " + ", ".join(f"{count} {label}" for label, count in sorted(labels.items()))]
    if plan.left_out:
        lines.append(f"{plan.left_out} left out by --map")
    alone = sum(not (item.said.patient or item.said.slide) for item in plan.items)
    if alone:
        lines.append(
            f"{alone} have neither patient nor slide: those of one device taken within minutes of each other will be "
            "one group, on one side of the split; say more with --csv, --slide or --patient"
        )
    return "\n".join(lines)


def report(sent: "Sequence[Sent]", params: Path) -> int:
    """Say what was done. Raises: DataError: something else is said of images that are there."""
    from hemaloop.errors import DataError
    from hemaloop.uploading.sending import Outcome

    counts = Counter(each.outcome for each in sent)
    print(f"{counts[Outcome.SENT]} sent, {counts[Outcome.THERE]} were there; first {sent[0].key}")
    if new := [each.key for each in sent if each.outcome is Outcome.SENT]:
        print(how_to_ingest(new, params))
    different = [f"{each.key}: {each.note}" for each in sent if each.outcome is Outcome.DIFFERS]
    if different:
        told = f"{len(different)} are there with other words, and were left so:"
        raise DataError("\n".join([told, *different]))
    return 0


def how_to_ingest(keys: Sequence[str], params: Path) -> str:
    """Polls look at the last days; images that were captured before wait for a reconciliation."""
    from datetime import UTC, datetime

    from hemaloop.config import read_section
    from hemaloop.ingest.finding import is_recent
    from hemaloop.ingest.parameters import IngestParams

    days = read_section(params, "ingest", IngestParams).window_days
    old = sum(not is_recent(key, datetime.now(UTC), days) for key in keys)
    if not old:
        return "the next ingest takes them; or now: hemaloop ingest --once"
    return (
        f"{old} were not captured in the last {days} days, where a poll looks: "
        "the next reconciliation finds them; or now: hemaloop ingest --once"
    )


def _assignment(text: str) -> tuple[str, str]:
    from hemaloop.errors import ConfigError

    name, equals, label = text.partition("=")
    if not (name and equals):
        raise ConfigError(f"--map {text}: wanted NAME=CLASS, or NAME= to leave it out")
    return name, label
