"""The most memory that this process has had."""

import re
from pathlib import Path


def peak_mb() -> float:
    """In MB, as Linux tells it. Not getrusage's figure: that one begins with the parent's peak."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("/proc/self/status has no VmHWM: this benchmark needs Linux")
    return int(found[1]) / 1024
