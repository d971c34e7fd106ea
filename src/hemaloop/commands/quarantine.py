"""hemaloop quarantine: what was refused, why, and taking it in after all."""

import argparse
import dataclasses
import getpass


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("quarantine", help="what was refused, and why; take it in after all")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("list", help="a line each").set_defaults(run=list_)
    show = actions.add_parser("show", help="reason and measures of one")
    show.add_argument("key", metavar="KEY", help="of the upload")
    show.set_defaults(run=show_)
    release = actions.add_parser("release", help="take one in after all")
    release.add_argument("key", metavar="KEY", help="of the upload")
    release.add_argument("--reason", required=True, help="why; kept in the ledger")
    release.add_argument("--person", default=getpass.getuser(), help="who decides (default: %(default)s)")
    release.set_defaults(run=release_)


def list_(args: argparse.Namespace) -> int:
    from hemaloop.config import read_settings
    from hemaloop.ingest.ledger import Ledger

    found = Ledger(read_settings().ledger).quarantined()
    for upload in found:
        print(f"{upload.reason:<18} {upload.key}")
    if not found:
        print("nothing is in quarantine")
    return 0


def show_(args: argparse.Namespace) -> int:
    from hemaloop.config import read_settings
    from hemaloop.errors import DataError
    from hemaloop.ingest.ledger import Ledger

    found = [upload for upload in Ledger(read_settings().ledger).quarantined() if upload.key == args.key]
    if not found:
        raise DataError(f"{args.key} is not in quarantine: `hemaloop quarantine list` shows what is")
    for upload in found:
        print(f"{upload.key}\n  reason      {upload.reason}\n  kept in     {upload.quarantine_key}")
        for name, value in dataclasses.asdict(upload.measures).items() if upload.measures else ():
            print(f"  {name:<11} {value}")
    return 0


def release_(args: argparse.Namespace) -> int:
    from hemaloop.config import read_settings
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.ingest.ledger import Ledger
    from hemaloop.ingest.parameters import read_parameters
    from hemaloop.ingest.quarantine import release
    from hemaloop.ingest.states import State
    from tasks.ingest_steps import find_params

    settings = read_settings()
    with bucket_environment(settings):
        bits = read_parameters(find_params(settings, None, newest=False)).ingest.near_duplicate_bits
        state = release(Ledger(settings.ledger), open_bucket(settings), args.key, args.person, args.reason, bits)
    then = "the next ingest puts it into a batch" if state == State.ACCEPTED else f"but it is a {state}"
    print(f"{args.key}: released by {args.person}; {then}")
    return 0
