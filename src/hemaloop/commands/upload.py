"""hemaloop upload: put a folder of images into the bucket as a device would."""

import argparse
from pathlib import Path


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("upload", help="put a folder of images into the bucket as a device would")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--device", required=True, metavar="ID", help="the device that the images come from")
    parser.add_argument("--slide", metavar="ID", help="pseudonym of the slide that all of them show")
    parser.add_argument("--patient", metavar="ID", help="pseudonym of the patient")
    parser.add_argument("--stain", help="for example may-gruenwald-giemsa")
    parser.add_argument("--um-per-px", type=float, metavar="X", help="micrometres per pixel")
    parser.add_argument("--labels", choices=["from-folders"], help="label each image by the folder that it lies in")
    parser.add_argument("--labelled-by", metavar="PERSON", help="whose statement the labels are")
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="for the classes (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from rich.progress import track

    from hemaloop.config import read_settings
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.ingest.upload import Subject, plan, send

    subject = Subject(args.device, args.slide, args.patient, args.stain, args.um_per_px, args.labelled_by)
    captures = plan(args.folder, classes(args.params) if args.labels else None)
    settings = read_settings()
    with bucket_environment(settings):
        bucket = open_bucket(settings)
        keys = [send(bucket, capture, subject) for capture in track(captures, "uploading")]
    print(f"{len(keys)} images uploaded; first {keys[0]}")
    return 0


def classes(params: Path) -> tuple[str, ...]:
    from hemaloop.config import read_params

    return tuple(read_params(params)["classes"])
