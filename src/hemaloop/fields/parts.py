"""Fields that something was learned from, and fields that it was not: by the parity of their file's number."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from hemaloop.fields.field import Field

Part = Literal["development", "held_out"]


def part_of(path: Path) -> Part | None:
    """Even numbers are development, odd ones held out; None where a name ends in no number.

    The number is the last one in the name: that of BloodImage_00042.jpg is 42.
    """
    numbers = re.findall(r"\d+", path.stem)
    if not numbers:
        return None
    return "held_out" if int(numbers[-1]) % 2 else "development"


def parts(fields: Sequence[Field]) -> dict[str, tuple[Field, ...]]:
    """All fields, and both parts where there is something in them."""
    found = {"all": tuple(fields)}
    for part in ("development", "held_out"):
        if inside := tuple(field for field in fields if part_of(field.path) == part):
            found[part] = inside
    return found
