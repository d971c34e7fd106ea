"""What a disk's refusal means, for a person."""

import errno
import os
import sqlite3
from pathlib import Path

from hemaloop.errors import ConfigError, HemaloopError, TransientError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = "mended by checking the card: `dmesg` tells why it was mounted read-only"


def explain(error: OSError | sqlite3.OperationalError, folder: Path) -> HemaloopError:
    """The same as an error that tells what to do. SQLite's has no number, and its words do not tell it all."""
    number, words = getattr(error, "errno", None), str(error)
    if number in _FULL or "disk is full" in words:
        return TransientError(f"the disk under {folder} is full ({error}): free some, or set a smaller spool_bytes")
    if number == errno.EROFS or "readonly database" in words or _is_read_only(folder):
        return TransientError(f"the disk under {folder} is read-only ({error}): {_READ_ONLY}")
    if number in (errno.EACCES, errno.EPERM):
        return ConfigError(f"{folder} is not ours to write ({error}): run as its owner, or change the owner")
    return TransientError(f"{type(error).__name__}: {error}")


def _is_read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except FileNotFoundError:
        return False
