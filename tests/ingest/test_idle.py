"""With nothing new, ingest is quick: no Great Expectations, no git, nothing written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ingest_site import PARAMS

from hemaloop.config import parse_section, read_section
from hemaloop.errors import ConfigError
from hemaloop.ingest.parameters import IngestParams
from hemaloop.ingest.thresholds import Thresholds

IDLE = """
import sys
from hemaloop.config import read_settings
from tasks.ingest_plain import ingest_plain
print(ingest_plain(read_settings(), sys.argv[1]))
print(sorted({"great_expectations", "prefect", "dvc", "tensorflow", "pandas"} & set(sys.modules)))
"""


def test_nothing_new_imports_nothing_heavy_and_touches_neither_bucket_nor_repository(tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    places = {"HEMALOOP_HOME": str(tmp_path / "home"), "HEMALOOP_BUCKET": f"file://{tmp_path}/bucket"}
    command = [sys.executable, "-c", IDLE, str(PARAMS)]
    ended = subprocess.run(command, env={**os.environ, **places}, capture_output=True, text=True, check=True)
    done, imported = ended.stdout.splitlines()
    assert done == "{'discovered': 0, 'accepted': 0, 'quarantined': {}, 'duplicates': 0, 'batches': []}"
    assert imported == "[]"
    assert list((tmp_path / "bucket").iterdir()) == []
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "home").iterdir()) == ["claims", "ledger.db"]


def test_our_own_params_are_in_range() -> None:
    assert read_section(PARAMS, "ingest", IngestParams).near_duplicate_bits <= 8
    assert read_section(PARAMS, "validate", Thresholds).refused_share <= 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("sides_px", [10]), ("focus", [9.0, 1.0]), ("clipped", [0.0, 2.0]), ("refused_share", 0.0), ("bytes", [-1, 5])],
)
def test_a_threshold_out_of_range_is_named(key: str, value: object) -> None:
    from hemaloop.config import read_params

    values = read_params(PARAMS)["validate"] | {key: value}
    with pytest.raises(ConfigError, match=key):
        parse_section(values, "params.yaml: validate", Thresholds)
