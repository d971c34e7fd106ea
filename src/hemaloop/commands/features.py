"""hemaloop features: shape, texture, statistics and colour of the cells in images, as a table."""

import argparse
import sys
from pathlib import Path


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("features", help="shape, texture, statistics and colour of cells, as a table")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="images of one cell each, or folders")
    parser.add_argument("--output", type=Path, metavar="CSV", help="where to (default: the terminal)")
    parser.add_argument(
        "--stain", action="store_true", help="instead: the steps of section `prepare` that make stains like these"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from hemaloop.errors import DataError
    from hemaloop.inference.lines import image_files

    paths = list(image_files(args.paths))
    if not paths:
        raise DataError(f"no images in {', '.join(map(str, args.paths))}: wanted .jpg, .jpeg or .png files")
    return _print_stain(paths) if args.stain else _write(paths, args.output)


def _write(paths: list[Path], output: Path | None) -> int:
    import io

    from hemaloop.files import write_atomically
    from hemaloop.model.features.table import read_features, write_features

    if output is None:
        _, failed = write_features(sys.stdout, read_features(paths))
        if failed:
            print(f"hemaloop: {failed} of {len(paths)} images have no features", file=sys.stderr)
        return 3 if failed else 0
    stream = io.StringIO(newline="")
    written, failed = write_features(stream, read_features(paths))
    write_atomically(output, stream.getvalue().encode())
    print(f"{output}: {written} images, {failed} of them without features")
    return 3 if failed else 0


def _print_stain(paths: list[Path]) -> int:
    from hemaloop.model.features.stain_reference import learn_references

    for step in learn_references(paths):
        settings = ", ".join(f"{name}: {value:g}" for name, value in step.settings.items())
        print(f"- {step.name}: {{{settings}}}")
    return 0
