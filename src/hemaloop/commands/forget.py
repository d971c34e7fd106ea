"""hemaloop forget: consent was withdrawn; remove a person's images everywhere we reach."""

import argparse
import getpass
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hemaloop.config import Settings
    from tasks.forgetting import Report


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("forget", help="remove a person's images everywhere: consent was withdrawn")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--patient", help="the pseudonym that sidecars name")
    whose.add_argument("--image", nargs="+", metavar="KEY", help="keys of single uploads")
    parser.add_argument("--reason", required=True, help="why; kept with the tombstones: name nobody in it")
    parser.add_argument("--person", default=getpass.getuser(), help="who decides (default: %(default)s)")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from hemaloop.config import read_settings
    from hemaloop.embedded import bucket_environment
    from hemaloop.ingest.forgetting import Whose, states
    from tasks.forgetting import find, forget

    settings = read_settings()
    whose = Whose(args.patient, tuple(args.image or ()))
    with bucket_environment(settings):
        found = find(settings, whose)
        for state, count in sorted(states(found.uploads).items()):
            print(f"{count:6} {state}")
        if not args.yes and not _confirmed(len(found.uploads)):
            print("nothing was done")
            return 2
        report = forget(settings, whose, args.person, args.reason)
    _tell(settings, report)
    print(_leave_prefect([upload.key for upload in found.uploads]))
    return 75 if report.waiting else 0


def _confirmed(uploads: int) -> bool:
    if not sys.stdin.isatty():
        print("without a terminal to ask on, say --yes")
        return False
    return input(f"Remove {uploads} uploads and all that was made of them? It cannot be undone. [yes/no] ") == "yes"


def _tell(settings: "Settings", report: "Report") -> None:
    print(f"{sum(report.uploads.values())} uploads are forgotten")
    print(f"{report.images} images left the dataset; revision {report.revision} is without them")
    for place, count in report.removed.items():
        print(f"{count:6} removed from {place}")
    for key in report.doubtful:
        print(f"may be the same person's, but names another: {key}")
    for commit, version in _models(settings, report).items():
        named = f"model version {version}" if version else "a model that is not registered"
        print(f"{named} learnt from or was tested on them (revision {commit})")
    if report.waiting:
        print(f"not done yet: {report.waiting}")


def _leave_prefect(keys: list[str]) -> str:
    """Remove the pictures of these uploads from Prefect's pages; what came of it."""
    import prefect

    if not prefect.settings.PREFECT_API_URL.value():
        return "Prefect's pages: PREFECT_API_URL is not set; pictures of refused uploads leave them when purge runs"
    import httpx

    from flows.ingest_artifacts import remove_pictures

    try:
        tables = remove_pictures(datetime.min.replace(tzinfo=UTC), keys)
    except httpx.HTTPError as error:
        return f"Prefect's pages: not reached ({error}); pictures of refused uploads leave them when purge runs"
    return f"{tables:6} removed from Prefect's pages"


def _models(settings: "Settings", report: "Report") -> dict[str, int | None]:
    """Commit of each training on such images -> the model version that it made."""
    if not report.trained:
        return {}
    from hemaloop.registry.versions import list_versions

    numbers = {version.revision: version.number for version in list_versions(settings.mlflow)}
    return {commit: numbers.get(commit) for commit in report.trained}
