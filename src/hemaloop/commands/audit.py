"""hemaloop audit: what was done to releases, by whom and why; and whether the log of it is whole."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

SEEN = "audit-seen.json"  # in HEMALOOP_HOME: the ends of each bucket's log, as this machine last saw them


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("audit", help="what was done to releases, by whom and why")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    verify = actions.add_parser("verify", help="check every hash, link and signature of the log; exit 5 if one fails")
    verify.add_argument(
        "--head", action="append", default=[], metavar="HASH", help="an entry that you saw in it before"
    )
    verify.add_argument(
        "--root", type=Path, metavar="FILE", help="the root.json that you trust (default: the bucket's)"
    )
    verify.set_defaults(run=run_verify)
    show = actions.add_parser("show", help="print the log")
    show.add_argument("--last", type=int, metavar="N", help="only the last N entries")
    show.set_defaults(run=run_show)


def run_verify(args: argparse.Namespace) -> int:
    from hemaloop.config import bucket_url, read_settings
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.errors import UntrustedError
    from hemaloop.release.auditing import verify_log

    settings = read_settings()
    seen = read_seen(settings.home, bucket_url(settings))
    anchor = args.root.read_bytes() if args.root else None
    with bucket_environment(settings):
        found = verify_log(open_bucket(settings), [*args.head, *seen], anchor)
    for fork in found.forks:
        print(fork)
    if found.faults:
        raise UntrustedError("\n".join(["the audit log is not whole:", *found.faults]))
    write_seen(settings.home, bucket_url(settings), found.heads)
    print(f"{len(found.entries)} entries, whole; the last: {', '.join(found.heads) or 'none'}")
    return 0


def run_show(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from hemaloop.config import read_settings
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.release.audit import read_log, verify_entries

    settings = read_settings()
    with bucket_environment(settings):
        entries = [signed.entry for signed in verify_entries(read_log(open_bucket(settings), args.last), {}).entries]
    table = Table("entry", "time (UTC)", "event", "of", "by", "reason", title="not verified: see hemaloop audit verify")
    for entry in entries:
        table.add_row(
            str(entry.number), f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.event, entry.subject, entry.by, entry.reason
        )
    Console().print(table)
    return 0


def read_seen(home: Path, bucket: str) -> list[str]:
    """The ends of a bucket's log as this machine last saw them; none on the first look."""
    path = home / SEEN
    return list(json.loads(path.read_text()).get(bucket, [])) if path.exists() else []


def write_seen(home: Path, bucket: str, heads: Sequence[str]) -> None:
    """Remember the ends of a bucket's log: who cuts them off is found out."""
    from hemaloop.files import write_atomically

    path = home / SEEN
    seen = json.loads(path.read_text()) if path.exists() else {}
    home.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(seen | {bucket: list(heads)}).encode())
