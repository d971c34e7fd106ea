"""Images and what is said of them in a CSV file: a line each."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from hemaloop.errors import DataError
from hemaloop.protocol.keys import IMAGE_SUFFIXES
from hemaloop.uploading.item import Item, Labels, Plan, Problems, Subject, describe

NEEDED = ("file", "label")
TEXTS = ("patient", "slide", "device", "stain", "labelled_by")
OPTIONAL = (*TEXTS, "um_per_px", "captured_at")

Row = dict[str, str]


def plan_table(table: Path, folder: Path, subject: Subject, labels: Labels) -> Plan:
    """The images that a CSV file names, relative to `folder`; what it leaves empty is the subject's.

    Raises: DataError: there is no such file, or its columns are not the ones that are known.
    """
    items: list[Item] = []
    problems = Problems()
    left_out = 0
    lines: dict[Path, int] = {}  # where a file was named first
    for line, values in _rows(table):
        with problems.at(f"{table}, line {line}"):
            row = _complete(values)
            path = _file(row["file"], folder)
            if lines.setdefault(path, line) != line:
                raise DataError(f"{row['file']} is named in line {lines[path]} already")
            if label := labels.translate(_given(row, "label")):
                items.append(describe(path, _subject(row, subject), label, table.name))
            else:
                left_out += 1
    return Plan(tuple(items), problems.lines(), left_out)


def _rows(table: Path) -> Iterator[tuple[int, dict[Any, Any]]]:
    """Line numbers, and values by column as they stand."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text, strict=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            _check_columns(table, reader.fieldnames)
            for values in reader:
                yield reader.line_num, values
    except FileNotFoundError:
        raise DataError(f"{table} is not there") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is no CSV file in UTF-8: {error}") from error


def _complete(values: dict[Any, Any]) -> Row:
    """A value a column, without the spaces around it; `csv` puts what is too much below None, and None for the rest."""
    if None in values or None in values.values():
        raise DataError(f"wanted {len([name for name in values if name is not None])} values, one for each column")
    return {name: value.strip() for name, value in values.items()}


def _check_columns(table: Path, columns: list[str]) -> None:
    unknown = sorted(set(columns) - {*NEEDED, *OPTIONAL})
    missing = [name for name in NEEDED if name not in columns]
    if unknown or missing or len(set(columns)) < len(columns):
        raise DataError(
            f"{table}, line 1: wanted the columns {', '.join(NEEDED)} and any of {', '.join(OPTIONAL)}, each once; "
            f"got {', '.join(columns) or 'none'}"
        )


def _file(name: str, folder: Path) -> Path:
    path = folder / name
    if not name or not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"file {name!r}: wanted a path below {folder}")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise DataError(f"file {name!r}: wanted one of {', '.join(IMAGE_SUFFIXES)}")
    if not path.is_file():
        raise DataError(f"file {name!r} is not in {folder}")
    return path


def _given(row: Row, column: str) -> str:
    if not row[column]:
        raise DataError(f"{column} is empty")
    return row[column]


def _subject(row: Row, subject: Subject) -> Subject:
    said: dict[str, Any] = {name: row[name] for name in TEXTS if row.get(name)}
    if row.get("um_per_px"):
        said["um_per_px"] = _number(row["um_per_px"])
    if row.get("captured_at"):
        said["captured_at"] = parse_time(row["captured_at"])
    found = replace(subject, **said)
    if not found.device:
        raise DataError("no device: say it in a column, or with --device")
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"um_per_px {text!r}: wanted a number, micrometres per pixel") from None


def parse_time(text: str) -> datetime:
    """Raises: DataError: no ISO 8601 time, or one without a time zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise DataError(f"captured_at {text!r}: wanted an ISO 8601 time with its zone, as 2026-01-31T09:30:00+01:00")
    return found
