"""`hemaloop-device bench`: figures of this machine, kept in one table."""

import csv
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from device_bench import Cloud, Pi, build, build_blind

from hemaloop.device.benchmark import Measured, append, row
from hemaloop.device.cli import main
from hemaloop.device.updates.update import Avoided, Updated
from hemaloop.errors import DataError
from hemaloop.protocol.bundle import MODEL
from hemaloop.protocol.channel import Channel

AT = datetime(2026, 11, 21, tzinfo=UTC)
OURS, THEIRS = Measured(2.0, 3.0, 90.0, 600_000), Measured(10.0, 12.0, 120.0, 9_000_000)


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_run_adds_a_row_and_the_ratio_is_of_one_run(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    append(table, row(AT, "pi-1", "release 2", OURS))
    append(table, row(AT, "pi-1", "release 2", OURS, "float.tflite", THEIRS))
    alone, compared = rows(table)
    assert (alone["latency_ms"], alone["times_faster"], alone["cores"]) == ("2.0", "", str(os.cpu_count()))
    assert (compared["against"], compared["times_faster"], compared["against_size_bytes"]) == (
        "float.tflite",
        "5.0",
        "9000000",
    )


def test_another_table_is_not_written_to(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("something,else\n")
    with pytest.raises(DataError, match="give --table another file"):
        append(table, row(AT, "pi-1", "release 2", OURS))
    assert table.read_text() == "something,else\n"


@pytest.mark.slow
def test_the_command_measures_the_model_that_runs_against_another(cloud: Cloud, pi: Pi, tmp_path: Path) -> None:
    cloud.release(build(1))
    assert isinstance(pi.update(), Updated)
    table, other = tmp_path / "table.csv", tmp_path / "other.tflite"
    other.write_bytes((pi.home.slots / "A" / MODEL).read_bytes())
    assert main(["bench", "--home", str(pi.home.folder), "--against", str(other), "--table", str(table)]) == 0
    (found,) = rows(table)
    assert found["model"] == "release 1"
    assert 0 < float(found["latency_ms"]) <= float(found["slow_ms"])
    assert float(found["memory_mb"]) > 10
    assert int(found["size_bytes"]) == int(found["against_size_bytes"]) == other.stat().st_size
    other.write_bytes(b"no model")
    assert main(["bench", "--home", str(pi.home.folder), "--against", str(other), "--table", str(table)]) == 3


@pytest.mark.slow
def test_a_release_that_failed_here_gets_another_try_when_a_person_asks(cloud: Cloud, pi: Pi) -> None:
    cloud.release(build(1))
    assert isinstance(pi.update(), Updated)
    cloud.release(build_blind(2))
    cloud.say(Channel("stable", 2, probation_images=1))
    assert isinstance(pi.update(), Updated)
    pi.look("monocyte", "monocyte")
    assert isinstance(pi.update(), Avoided)
    assert main(["update", "--home", str(pi.home.folder)]) == 0
    assert pi.slots.model().version == 1
    assert main(["update", "--home", str(pi.home.folder), "--again"]) == 0
    assert pi.slots.model().version == 2
