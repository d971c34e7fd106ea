"""What the device answered, for people on the spot: <results>/<day>.jsonl."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def append_result(folder: Path, at: datetime, capture: str, line: dict[str, Any]) -> None:
    """Add a line. After a kill a capture may have two; none is missing, and reports count it once."""
    folder.mkdir(parents=True, exist_ok=True)
    answer = {"capture": capture, "at": at.isoformat(), **{key: line[key] for key in line if key != "path"}}
    with (folder / f"{at.astimezone(UTC):%Y-%m-%d}.jsonl").open("a") as stream:
        stream.write(json.dumps(answer, ensure_ascii=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
