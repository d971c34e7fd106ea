"""hemaloop fields: whole fields to white cells, with their scale; and how right both are."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from hemaloop.fields.field import Annotation, Field, Keep, Reader, Refused
    from hemaloop.fields.parameters import FieldsParams
    from hemaloop.fields.scoring import CellScore, Figure, ScaleScore

_PARTS = ("all", "development", "held_out")


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("fields", help="white cells in whole fields: found, cut out, classified, checked")
    parser.add_argument("folder", type=Path, metavar="DIR", help="images of whole fields")
    parser.add_argument("--boxes", type=Path, metavar="DIR", help="VOC annotations (NAME.xml) to check against")
    parser.add_argument("--white", default="WBC", metavar="NAME", help="of a white cell's box (default: %(default)s)")
    parser.add_argument("--red", default="RBC", metavar="NAME", help="of a red cell's box (default: %(default)s)")
    parser.add_argument("--model", type=Path, metavar="FILE", help="a .tflite that classifies each cell")
    parser.add_argument("--um-per-px", type=float, metavar="X", help="of all fields (default: each tells its own)")
    parser.add_argument(
        "--part", choices=_PARTS, default="all", help="even file numbers (development), odd ones (held_out), or all"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="for pictures, crops, CSV and JSON")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="(default: %(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from hemaloop.config import read_section
    from hemaloop.fields.field import Field, Refused
    from hemaloop.fields.parameters import FieldsParams

    params, console = read_section(args.params, "fields", FieldsParams), Console()
    found = _read(_reader(args, params), _paths(args))
    fields = [each for each in found if isinstance(each, Field)]
    refused = [each for each in found if isinstance(each, Refused)]
    _say(console, fields, refused)
    scores = _scores(fields, params) if args.boxes and fields else {}
    if scores:
        _show(console, scores, params)
    if args.output:
        _write(args, fields, refused, scores)
        console.print(f"written to {args.output}", markup=False, soft_wrap=True)
    return 3 if refused else 0


def _paths(args: argparse.Namespace) -> list[Path]:
    """Raises: ConfigError: no folder; DataError: no images in it."""
    from hemaloop.errors import ConfigError, DataError
    from hemaloop.fields.parts import part_of
    from hemaloop.inference.lines import image_files

    for folder in (args.folder, args.boxes):
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"{folder} is no folder")
    paths = [path for path in image_files([args.folder]) if args.part in ("all", part_of(path))]
    if not paths:
        raise DataError(f"{args.folder}: no images (part: {args.part}); wanted JPEG or PNG files")
    return paths


def _reader(args: argparse.Namespace, params: "FieldsParams") -> "Reader":
    from hemaloop.errors import ConfigError
    from hemaloop.fields.field import Reader

    if args.um_per_px is not None and not 0.001 <= args.um_per_px <= 100:
        raise ConfigError(f"--um-per-px {args.um_per_px}: wanted micrometres per pixel, 0.001 to 100")
    classifier = None
    if args.model:
        from hemaloop.inference.classifier import Classifier

        if not args.model.is_file():
            raise ConfigError(f"{args.model} is no file: give a .tflite with --model")
        classifier = Classifier(args.model.read_bytes())
    annotation = _annotation(args) if args.boxes else None
    keep = _keeper(args.output, args.folder) if args.output else None
    return Reader(params.field_um, params.iou, args.um_per_px, annotation, classifier, keep)


def _annotation(args: argparse.Namespace) -> "Annotation":
    from hemaloop.errors import DataError
    from hemaloop.fields.field import Annotated
    from hemaloop.uploading.voc import read_boxes

    def annotation(path: Path, width: int, height: int) -> Annotated:
        beside: Path = args.boxes / path.relative_to(args.folder).with_suffix(".xml")
        if not beside.is_file():
            raise DataError(f"it has no annotation: wanted {beside}")
        (white, wrong), (red, wrong_red) = (read_boxes(beside, name, width, height) for name in (args.white, args.red))
        return Annotated(white, red, wrong + wrong_red)

    return annotation


def _keeper(output: Path, root: Path) -> "Keep":
    from hemaloop.fields.field import Field
    from hemaloop.fields.pictures import draw_field
    from hemaloop.fields.tables import crop_name
    from hemaloop.files import write_atomically
    from hemaloop.imaging.decode import Image, encode_jpeg, encode_png

    def keep(field: Field, image: Image, crops: Sequence[Image]) -> None:
        picture = encode_jpeg(draw_field(field, image))
        write_atomically(output / "pictures" / field.path.relative_to(root).with_suffix(".jpg"), picture)
        for number, crop in enumerate(crops):
            write_atomically(output / "crops" / crop_name(field, number, root), encode_png(crop))

    return keep


def _read(reader: "Reader", paths: Sequence[Path]) -> "list[Field | Refused]":
    from rich.console import Console
    from rich.progress import track

    from hemaloop.imaging.decode import work_in_callers_thread
    from hemaloop.uploading.sending import in_threads

    work_in_callers_thread()
    found = track(in_threads(reader.read, paths), "fields", total=len(paths), console=Console(stderr=True))
    return sorted(found, key=lambda each: each.path)


def _say(console: "Console", fields: "Sequence[Field]", refused: "Sequence[Refused]") -> None:
    cells = sum(len(field.cells) for field in fields)
    untold = sum(field.um_per_px is None for field in fields)
    console.print(f"{len(fields)} fields, {cells} white cells")
    if untold:
        console.print(f"in {untold} of them nothing tells the scale, so no cells were looked for: give --um-per-px")
    for problem in (each for field in fields if field.annotated for each in field.annotated.problems):
        console.print(f"left out: {problem}", markup=False, soft_wrap=True)
    for each in refused:
        console.print(f"refused: {each.path}: {each.reason}", markup=False, soft_wrap=True)


def _scores(fields: "Sequence[Field]", params: "FieldsParams") -> "dict[str, tuple[CellScore, ScaleScore]]":
    import numpy as np

    from hemaloop.fields.parts import parts
    from hemaloop.fields.scoring import score_cells, score_scale

    scores = {}
    for name, inside in parts(fields).items():
        rng = np.random.default_rng(params.seed)
        cells = score_cells(inside, params.bootstrap_rounds, rng)
        scores[name] = (cells, score_scale(inside, params.red_cell_um, params.bootstrap_rounds, rng))
    return scores


def _show(console: "Console", scores: "dict[str, tuple[CellScore, ScaleScore]]", params: "FieldsParams") -> None:
    from rich.table import Table

    cells = Table("part", "fields", "annotated", "found", "recall", "precision", "mean IoU", title="white cells")
    scale = Table(
        "part", "fields", "told", "median error", "90 %", "bias", "covered", "covered, all", "boxes' own spread",
        title=f"micrometres per pixel against red cells' boxes of {params.red_cell_um:g} um",
    )  # fmt: skip
    for name, (one, other) in scores.items():
        counts = (str(one.fields), str(one.expected), str(one.found))
        cells.add_row(name, *counts, *map(_told, (one.recall, one.precision, one.mean_iou)))
        figures = (other.median_error, other.p90_error, other.bias, other.coverage, other.coverage_of_all)
        told = (str(other.fields), str(other.estimated))
        scale.add_row(name, *told, *map(_told, figures), f"{other.boxes_spread:.3f}")
    console.print(cells)
    console.print(scale)


def _told(figure: "Figure") -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def _write(
    args: argparse.Namespace,
    fields: "Sequence[Field]",
    refused: "Sequence[Refused]",
    scores: "dict[str, tuple[CellScore, ScaleScore]]",
) -> None:
    from hemaloop.fields.tables import cell_rows, field_rows, to_csv, to_json
    from hemaloop.files import write_atomically

    told: dict[str, Any] = {"fields": len(fields), "refused": len(refused), "um_per_px_given": args.um_per_px}
    write_atomically(args.output / "cells.csv", to_csv(list(cell_rows(fields, args.folder))))
    write_atomically(args.output / "fields.csv", to_csv(list(field_rows(fields, refused, args.folder))))
    write_atomically(args.output / "fields.json", to_json(scores, told))
