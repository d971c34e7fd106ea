"""hemaloop keys: the key ceremony, and new keys for whoever lost one, had one stolen, came or left."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hemaloop.commands.release import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hemaloop.release.keys.rotation import Gathering, Rotated

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

ONLINE = ("snapshot", "timestamp", "channels")
PEOPLES = ("root", "targets")


def register(commands: "Subparsers") -> None:
    parser = commands.add_parser("keys", help="make the keys, and replace those that were lost or stolen")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="(default: %(default)s)")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _register_init(actions)
    _register_rotate(actions)
    _register_people(actions)
    renew = actions.add_parser("renew", help="sign root and targets for another year; nobody's key changes")
    _takes_keys(renew)
    renew.set_defaults(run=renew_signatures)
    drill = actions.add_parser(
        "drill", help="replace a key of each role in a throwaway folder, and see a device follow"
    )
    drill.set_defaults(run=hold_drill)


def _register_init(actions: "Subparsers") -> None:
    init = actions.add_parser("init", help="make every key, once, and an empty repository of releases")
    init.add_argument("people", nargs="+", metavar="APPROVER", help="their names")
    init.add_argument("--threshold", type=int, required=True, metavar="N", help="approvers that a release needs")
    init.add_argument("--offline", type=Path, required=True, metavar="DIR", help="for the approvers' and root keys")
    init.set_defaults(run=hold_ceremony)


def _register_rotate(actions: "Subparsers") -> None:
    rotate = actions.add_parser("rotate", help="replace the server's keys, or one of a person, lost, stolen or old")
    _takes_keys(rotate)
    rotate.add_argument(
        "--role", action="append", choices=(*ONLINE, *PEOPLES), metavar="ROLE",
        help="snapshot, timestamp, channels, root or targets; again for more (default: the server's three)",
    )  # fmt: skip
    rotate.add_argument("--person", metavar="NAME", help="whose key of root or targets")
    rotate.add_argument("--offline", type=Path, metavar="DIR", help="for a person's new key")
    rotate.add_argument(
        "--token", metavar="hsm:N?label=NAME", help="or where it is already: a PKCS#11 token, for targets"
    )
    rotate.set_defaults(run=rotate_keys)


def _register_people(actions: "Subparsers") -> None:
    add = actions.add_parser("add", help="give somebody new both keys, of root and of an approver")
    revoke = actions.add_parser("revoke", help="a person's two keys count no more; what they approved stays")
    for parser, run in ((add, add_person), (revoke, revoke_person)):
        parser.add_argument("person", metavar="NAME")
        _takes_keys(parser)
        parser.add_argument("--threshold", type=int, metavar="N", help="keys that must sign from now on")
        parser.set_defaults(run=run)
    add.add_argument("--offline", type=Path, required=True, metavar="DIR", help="for the new keys")


def _takes_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "keys", nargs="+", type=Path, metavar="KEY",
        help="key files of people: a threshold of root keys, and of approvers' keys where the command asks for them",
    )  # fmt: skip
    parser.add_argument("--reason", required=True, help="why; kept in the audit log")


def hold_ceremony(args: argparse.Namespace) -> int:
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.release.keys.ceremony import hold_ceremony

    settings, params = settings_of(args)
    with bucket_environment(settings):
        hold_ceremony(
            open_bucket(settings), args.offline, settings.keys, args.people, args.threshold, datetime.now(UTC),
            params.expiries,
        )  # fmt: skip
    print(f"give each of {', '.join(args.people)} their two keys from {args.offline}, and root.json; keep none here")
    print(f"the server's keys are in {settings.keys}; devices are set up with {args.offline / 'root.json'}")
    return 0


def rotate_keys(args: argparse.Namespace) -> int:
    from hemaloop.errors import ConfigError
    from hemaloop.release.keys.people import replace_key, take_token
    from hemaloop.release.keys.rotation import rotate_online
    from hemaloop.release.keys.tokens import open_token

    roles = args.role or list(ONLINE)
    if args.token is not None:
        if roles != ["targets"] or args.person is None:
            raise ConfigError("a token holds an approver's key: wanted --role targets, --person NAME and --token")
        key = open_token(args.token).public_key
        return _change(args, lambda gathering: take_token(gathering, args.person, key))
    if set(roles) <= set(ONLINE):
        return _change(args, lambda gathering: rotate_online(gathering, roles))
    if len(roles) > 1 or args.person is None or args.offline is None:
        raise ConfigError("a person's key: wanted one --role, root or targets, with --person NAME and --offline DIR")
    return _change(args, lambda gathering: replace_key(gathering, roles[0], args.person, args.offline))


def add_person(args: argparse.Namespace) -> int:
    from hemaloop.release.keys.people import add_person

    return _change(args, lambda gathering: add_person(gathering, args.person, args.offline, args.threshold))


def revoke_person(args: argparse.Namespace) -> int:
    from hemaloop.release.keys.people import revoke_person

    return _change(args, lambda gathering: revoke_person(gathering, args.person, args.threshold))


def renew_signatures(args: argparse.Namespace) -> int:
    from hemaloop.release.keys.people import renew

    return _change(args, renew)


def hold_drill(args: argparse.Namespace) -> int:
    from tempfile import TemporaryDirectory

    from hemaloop.errors import UntrustedError
    from hemaloop.release.keys.drill import drill

    with TemporaryDirectory(prefix="hemaloop-drill-") as folder:
        drilled = list(drill(Path(folder), datetime.now(UTC)))
    for each in drilled:
        print(
            f"{each.role:9} a device {'follows' if each.followed else 'DOES NOT FOLLOW'}; "
            f"the old key {'counts no more' if each.gone else 'STILL COUNTS'}"
        )
    if not all(each.passed for each in drilled):
        raise UntrustedError("the drill failed: see above, and hold no ceremony with this installation")
    return 0


def _change(args: argparse.Namespace, change: "Callable[[Gathering], Rotated]") -> int:
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.release.keys.rotation import Gathering

    settings, params = settings_of(args)
    with bucket_environment(settings):
        bucket = open_bucket(settings)
        done = change(Gathering(bucket, args.keys, settings.keys, datetime.now(UTC), params.expiries, args.reason))
    print(f"root {done.root}, targets {done.targets}; devices follow at their next look")
    if done.folder is not None:
        print(f"new keys, with the root that names them: {done.folder}; hand them over, and keep none here")
    print(f"channels name {done.channels or 'nothing'}; halted: {', '.join(map(str, done.halted)) or 'nothing'}")
    print("look at both: whoever held the server's keys may have moved them")
    for role, spare in done.spare.items():
        if spare == 0:
            print(f"{role}: every key must sign now; lose one more and nobody can: `hemaloop keys add NAME`")
    return 0
