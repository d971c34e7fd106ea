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
    from hemaloop.ingest.ledger import Ledger
    from tasks.tracing import find_upload

    for trace in find_upload(Ledger(read_settings().ledger), args.key):
        print("\n".join(lines(trace)))
    return 0


def lines(trace: "Trace") -> list[str]:
    """What happened to an upload; `hemaloop trace` says it too."""
    upload = trace.upload
    told = [f"{upload.key}  ({upload.size} bytes, ETag {upload.etag})"]
    for change in trace.changes:
        told.append(f"  {change.at:%Y-%m-%d %H:%M:%S}  {change.state:<12} {change.note}  [{change.actor}]")
    if upload.sidecar is not None:
        said = upload.sidecar
        whose = f"slide {said.slide}, patient {said.patient}"
        told.append(f"  device {said.device}, {whose}, label {said.label}, by {said.labelled_by}")
    if upload.original is not None:
        told.append(f"  the same as {upload.original}")
    if upload.stored_key is not None:
        told.append(f"  versioned from its copy without private metadata, {upload.stored_key}")
    if upload.quarantine_key is not None:
        told.append(f"  kept in {upload.quarantine_key}")
    if upload.batch is not None:
        told.append(f"  batch {upload.batch}, dataset revision {upload.revision or 'not yet'}")
    return told
