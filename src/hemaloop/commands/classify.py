"""hemaloop classify: what a model says to images."""

import argparse
import json
import sys
from pathlib import Path


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("classify", help="what a model says to images")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="images, or folders of images")
    parser.add_argument("--model", type=Path, metavar="FILE", help="a .tflite (default: the champion in MLflow)")
    parser.add_argument("--um-per-px", type=float, metavar="NUMBER", help="micrometres per pixel, where known")
    parser.add_argument("--json", action="store_true", help="a line of JSON an image")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from hemaloop.inference.classifier import Classifier
    from hemaloop.inference.lines import answer_line, image_files, text_line

    name, model = chosen_model(args.model)
    classifier = Classifier(model)
    failed = 0
    for path in image_files(args.paths):
        answer = answer_line(path, classifier, name, args.um_per_px)
        failed += "error" in answer
        print(json.dumps(answer) if args.json else text_line(answer), flush=True)
    if failed:
        print(f"hemaloop: {failed} images could not be read", file=sys.stderr)
    return 3 if failed else 0


def chosen_model(path: Path | None) -> tuple[str, bytes]:
    """Name and bytes of the model to ask."""
    from hemaloop.errors import ConfigError

    if path is not None:
        if not path.is_file():
            raise ConfigError(f"{path} is no file: give a .tflite with --model")
        return path.name, path.read_bytes()
    from hemaloop.config import read_settings
    from hemaloop.registry.versions import CHAMPION, MODEL, aliased, shipped_file

    settings = read_settings()
    champion = aliased(settings.mlflow, CHAMPION)
    if champion is None:
        raise ConfigError("there is no champion yet: give a .tflite with --model, or release a version")
    return f"{MODEL}/{champion}", shipped_file(settings.mlflow, champion)
