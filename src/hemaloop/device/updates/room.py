"""Is there room on the disk? Asked before a download, not found out in the middle of it."""

import shutil
from pathlib import Path

from hemaloop.errors import TransientError

SPARE_BYTES = 4 * 2**20  # for what else a device writes meanwhile: its journal, results, an image


def check_room(folder: Path, wanted_bytes: int, subject: str) -> None:
    """Raises: TransientError: the disk under `folder` cannot take so many bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < wanted_bytes + SPARE_BYTES:
        raise TransientError(
            f"{subject}: it needs {_mb(wanted_bytes + SPARE_BYTES)} of disk, {_mb(free)} are free under {folder}: "
            "nothing was downloaded; make room, or set a smaller spool_bytes in device.toml"
        )


def _mb(amount: int) -> str:
    return f"{amount / 2**20:.1f} MiB"
