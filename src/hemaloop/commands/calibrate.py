"""hemaloop calibrate: learn from good images which are good enough."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from hemaloop.ingest.calibration import Learned
    from hemaloop.ingest.good_images import Good
    from hemaloop.ingest.thresholds import Thresholds

NEWEST = 2000  # uploads of a device


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("calibrate", help="learn thresholds from good images, in general or of a device")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="good images, with or without sidecars")
    source.add_argument("--bucket-device", metavar="ID", help=f"learn from its newest {NEWEST} accepted uploads")
    parser.add_argument("--by", choices=("device", "stain"), help="learn overrides, not the general thresholds")
    parser.add_argument("--write", action="store_true", help="write what was learned to params.yaml")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="(default: %(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from hemaloop.config import read_section, read_settings
    from hemaloop.ingest import good_images
    from hemaloop.ingest.ledger import Ledger
    from hemaloop.ingest.overriding import write_ranges
    from hemaloop.ingest.thresholds import Thresholds

    today = read_section(args.params, "validate", Thresholds)
    if args.folder is None:
        good = good_images.from_ledger(Ledger(read_settings().ledger), args.bucket_device, NEWEST)
    else:
        good = good_images.from_folder(args.folder)
    by: good_images.By | None = args.by or ("device" if args.bucket_device else None)
    groups, console = good_images.grouped(good, by), Console()
    learned = {name: _learn(name, by, each, today) for name, each in groups.items()}
    for name, found in learned.items():
        _show(console, by, name, found, groups[name], today)
    if not args.write:
        print(f"nothing is written: `--write` puts it into {args.params}")
        return 0
    write_ranges(args.params, by, {name: found.ranges for name, found in learned.items()})
    console.print(
        f"written to {args.params}: look at it (`git diff`), then commit and push it: ingest goes by the newest"
    )
    return 0


def _learn(name: str, by: str | None, good: "list[Good]", today: "Thresholds") -> "Learned":
    from hemaloop.errors import DataError
    from hemaloop.ingest.calibration import LEARNED, learn

    try:
        return learn([each.values for each in good], {measure: _today(today, by, name, measure) for measure in LEARNED})
    except DataError as error:
        raise DataError(f"{by} {name}: {error}" if by else str(error)) from error


def _today(today: "Thresholds", by: str | None, name: str, measure: str) -> tuple[float, float]:
    from hemaloop.ingest.thresholds import thresholds_for

    limits = thresholds_for(today, name if by == "device" else None, name if by == "stain" else None)[measure]
    return limits.lowest, limits.highest


def _show(
    console: "Console", by: str | None, name: str, found: "Learned", good: "list[Good]", today: "Thresholds"
) -> None:
    from rich.table import Table

    title = f"{by} {name}" if by else "in general"
    table = Table("measure", "today", "learned", title=f"{title}: {found.images} images", title_justify="left")
    for measure, (lowest, highest) in found.ranges.items():
        before = _today(today, by, name, measure)
        table.add_row(measure, f"{before[0]:g} to {before[1]:g}", f"{lowest:g} to {highest:g}")
    console.print(table)
    for place in found.left_out:
        console.print(f"left out, since it is unlike the rest: {good[place].name}", markup=False, soft_wrap=True)
