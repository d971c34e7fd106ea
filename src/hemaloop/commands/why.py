"""hemaloop why: what happened to this upload?"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hemaloop.ingest.records import Trace


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("why", help="what happened to an upload, from its arrival to the dataset revision")
    parser.add_argument("key", metavar="KEY", help="uploads/<device>/<yyyy>/<mm>/<dd>/<capture>.jpg")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from hemaloop.config import read_settings
    from hemaloop.errors import DataError
    from hemaloop.ingest.ledger import Ledger

    traces = Ledger(read_settings().ledger).history(args.key)
    if not traces:
        raise DataError(
            f"{args.key}: the ledger has never seen it: look at the key, and whether `hemaloop ingest` has run since"
        )
    for trace in traces:
        print("\n".join(_lines(trace)))
    return 0


def _lines(trace: "Trace") -> list[str]:
    upload = trace.upload
    lines = [f"{upload.key}  ({upload.size} bytes, ETag {upload.etag})"]
    for change in trace.changes:
        lines.append(f"  {change.at:%Y-%m-%d %H:%M:%S}  {change.state:<12} {change.note}  [{change.actor}]")
    if upload.sidecar is not None:
        said = upload.sidecar
        whose = f"slide {said.slide}, patient {said.patient}"
        lines.append(f"  device {said.device}, {whose}, label {said.label}, by {said.labelled_by}")
    if upload.original is not None:
        lines.append(f"  the same as {upload.original}")
    if upload.stored_key is not None:
        lines.append(f"  versioned from its copy without private metadata, {upload.stored_key}")
    if upload.quarantine_key is not None:
        lines.append(f"  kept in {upload.quarantine_key}")
    if upload.batch is not None:
        lines.append(f"  batch {upload.batch}, dataset revision {upload.revision or 'not yet'}")
    return lines
