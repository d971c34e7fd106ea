"""Write learned ranges to params.yaml, and leave everything else in it as it was."""

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemaloop.config import read_params, read_section
from hemaloop.errors import ConfigError
from hemaloop.files import write_atomically
from hemaloop.ingest.good_images import By
from hemaloop.ingest.thresholds import Thresholds

if TYPE_CHECKING:
    from ruamel.yaml import YAML

Ranges = Mapping[str, tuple[float, float]]  # by measure

_WIDE = 4096  # columns: no line is wrapped


def write_ranges(params: Path, by: By | None, groups: Mapping[str, Ranges]) -> None:
    """Set the general ranges, or those of devices or stains, in section `validate`; comments and order stay.

    Raises:
        ConfigError: `params` is no params.yaml, or would not be one any more; then it is left as it is.
    """
    read_params(params)
    yaml = _yaml()
    document = yaml.load(params.read_text())
    section = document["validate"]
    if by is None:
        _set(section, groups[""])
    else:
        named = _child(_child(section, "overrides"), f"{by}s")
        for name, ranges in groups.items():
            _set(_child(named, name), ranges)
    text = io.StringIO()
    yaml.dump(document, text)
    _check(text.getvalue())
    write_atomically(params, text.getvalue().encode())


def _yaml() -> "YAML":
    from ruamel.yaml import YAML

    yaml = YAML()  # round trip: comments, order and the way that numbers are written
    yaml.width = _WIDE
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.preserve_quotes = True
    yaml.brace_single_entry_mapping_in_flow_sequence = True  # [{a: 1}] stays so, and doesn't become [a: 1]
    return yaml


def _child(mapping: Any, name: str) -> Any:
    """The mapping below `name`; an empty one is made where there is none, a line each where it was {}."""
    from ruamel.yaml.comments import CommentedMap

    if not mapping.get(name):
        mapping[name] = CommentedMap()
    return mapping[name]


def _set(mapping: Any, ranges: Ranges) -> None:
    from ruamel.yaml.comments import CommentedSeq

    for measure, ends in ranges.items():
        found = CommentedSeq(ends)
        found.fa.set_flow_style()
        mapping[measure] = found


def _check(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_text(text)
        try:
            read_section(path, "validate", Thresholds)
        except ConfigError as error:
            raise ConfigError(f"what was learned makes no valid params.yaml, which stays as it is: {error}") from error
