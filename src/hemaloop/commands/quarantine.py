"""hemaloop quarantine: what was refused, why, and taking it in after all."""

import argparse
import dataclasses
import getpass
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hemaloop.ingest.records import Upload


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("quarantine", help="what was refused, and why; take it in after all")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _register_looking(actions)
    release = actions.add_parser("release", help="take some in after all")
    release.add_argument("keys", nargs="*", metavar="KEY", help="of uploads")
    release.add_argument("--all-of-reason", metavar="REASON", help="every one that was refused for it; see --device")
    release.add_argument("--device", metavar="ID", help="with --all-of-reason: of this device alone")
    release.add_argument("--yes", action="store_true", help="with --all-of-reason: do it, and not only say what")
    release.add_argument("--reason", required=True, help="why; kept in the ledger")
    release.add_argument("--person", default=getpass.getuser(), help="who decides (default: %(default)s)")
    release.set_defaults(run=release_)
    purge = actions.add_parser("purge", help="delete what nobody released in its time; the ledger keeps the reason")
    purge.add_argument("--older-than", type=int, metavar="DAYS", help="(default: quarantine.keep_days of params.yaml)")
    purge.add_argument("--dry-run", action="store_true", help="only say what would go")
    purge.add_argument("--person", default=getpass.getuser(), help="who decides (default: %(default)s)")
    purge.set_defaults(run=purge_)


def _register_looking(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    list_parser = actions.add_parser("list", help="a line each")
    list_parser.add_argument("--reason", default="", help="only those refused for it")
    list_parser.add_argument("--device", default="", metavar="ID", help="only those of this device")
    list_parser.add_argument("--json", action="store_true", help="a JSON object a line")
    list_parser.set_defaults(run=list_)
    show = actions.add_parser("show", help="reason, measures and place of one")
    show.add_argument("key", metavar="KEY", help="of the upload")
    show.set_defaults(run=show_)


def list_(args: argparse.Namespace) -> int:
    from hemaloop.config import read_settings
    from hemaloop.ingest.ledger import Ledger
    from hemaloop.ingest.quarantine import find

    found = find(Ledger(read_settings().ledger), args.reason, args.device)
    for upload in found:
        print(_json(upload) if args.json else f"{upload.reason:<18} {upload.key}")
    if not found and not args.json:
        print("nothing is in quarantine" + (" of that kind" if args.reason or args.device else ""))
    return 0


def _json(upload: "Upload") -> str:
    since = upload.quarantined_at
    return json.dumps(
        {
            "key": upload.key,
            "reason": upload.reason,
            "since": since.isoformat() if since else None,
            "quarantine_key": upload.quarantine_key,
            "measures": dataclasses.asdict(upload.measures) if upload.measures else None,
        }
    )


def show_(args: argparse.Namespace) -> int:
    from hemaloop.config import read_settings
    from hemaloop.errors import DataError
    from hemaloop.ingest.ledger import Ledger
    from hemaloop.ingest.states import State

    traces = Ledger(read_settings().ledger).history(args.key)
    found = [trace for trace in traces if trace.upload.state is State.QUARANTINED]
    if not found:
        raise DataError(f"{args.key} is not in quarantine: `hemaloop quarantine list` shows what is")
    for trace in found:
        _show(trace.upload, trace.changes[-1].note)
    return 0


def _show(upload: "Upload", note: str) -> None:
    from hemaloop.ingest.quarantine import THUMBNAIL

    print(f"{upload.key}\n  reason      {note}\n  since       {upload.quarantined_at:%Y-%m-%d %H:%M} UTC")
    print(f"  kept in     {upload.quarantine_key}")
    if upload.measures is None:
        return
    if not upload.measures.problem:
        print(f"  picture     {upload.quarantine_key}{THUMBNAIL}")
    for name, value in dataclasses.asdict(upload.measures).items():
        print(f"  {name:<11} {value}")


def release_(args: argparse.Namespace) -> int:
    from hemaloop.config import read_settings
    from hemaloop.errors import ConfigError
    from hemaloop.ingest.ledger import Ledger
    from hemaloop.ingest.quarantine import find

    if bool(args.keys) == bool(args.all_of_reason):
        raise ConfigError("wanted either KEYs or --all-of-reason REASON")
    if args.keys:
        return _release(args.keys, args)
    found = find(Ledger(read_settings().ledger), args.all_of_reason, args.device or "")
    if found and args.yes:
        return _release([upload.key for upload in found], args)
    for upload in found:
        print(upload.key)
    print(
        f"{len(found)} would be released: look at them, then say --yes" if found else "nothing is in quarantine for it"
    )
    return 0


def _release(keys: list[str], args: argparse.Namespace) -> int:
    """Each on its own, so that one that cannot be let in holds up no other; the last such is the exit code."""
    import sys

    from hemaloop.config import read_settings
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.errors import DataError
    from hemaloop.ingest.ledger import Ledger
    from hemaloop.ingest.parameters import read_parameters
    from hemaloop.ingest.quarantine import release
    from hemaloop.ingest.states import State
    from tasks.ingest_steps import find_params

    settings, ended = read_settings(), 0
    with bucket_environment(settings):
        bits = read_parameters(find_params(settings, None, newest=False)).ingest.near_duplicate_bits
        ledger, bucket = Ledger(settings.ledger), open_bucket(settings)
        for key in keys:
            try:
                state = release(ledger, bucket, key, args.person, args.reason, bits)
            except DataError as error:
                print(f"hemaloop: {error}", file=sys.stderr)
                ended = error.exit_code
                continue
            then = "the next ingest puts it into a batch" if state == State.ACCEPTED else f"but it is a {state}"
            print(f"{key}: released by {args.person}; {then}")
    return ended


def purge_(args: argparse.Namespace) -> int:
    from datetime import UTC, datetime, timedelta

    from hemaloop.config import read_section, read_settings
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.errors import ConfigError
    from hemaloop.ingest.ledger import Ledger
    from hemaloop.ingest.originals import purge_originals
    from hemaloop.ingest.parameters import QuarantineParams
    from hemaloop.ingest.purging import due, purge
    from tasks.ingest_steps import find_params

    if args.older_than is not None and args.older_than < 0:
        raise ConfigError(f"--older-than {args.older_than}: wanted 0 or more days")
    settings, now = read_settings(), datetime.now(UTC)
    with bucket_environment(settings):
        days = args.older_than
        if days is None:
            days = read_section(find_params(settings, None, newest=False), "quarantine", QuarantineParams).keep_days
        ledger, bucket, keep = Ledger(settings.ledger), open_bucket(settings), timedelta(days=days)
        if args.dry_run:
            for upload in due(ledger, bucket.url, keep, now):
                print(f"{upload.quarantined_at:%Y-%m-%d}  {upload.reason:<18} {upload.key}")
            return 0
        originals = purge_originals(ledger, bucket, keep, args.person, now)
        purged = purge(ledger, bucket, keep, args.person, now)
    print(f"{purged.uploads} uploads purged, {purged.bytes / 1e6:.1f} MB; {originals} originals with private metadata")
    return 0
