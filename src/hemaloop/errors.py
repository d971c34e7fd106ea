"""Every error that hemaloop raises on purpose.

    HemaloopError            1   a bug, or something nobody foresaw
    ├── ConfigError          2   a setting is missing, wrong or out of range
    ├── DataError            3   images or labels that cannot be used as they are
    ├── GateRefused          4   a candidate does not meet a rule
    ├── UntrustedError       5   a signature, a hash or a version that must not be believed
    └── TransientError      75   try again later; the only one that tasks retry

The number is the exit code of the command line; systemd acts on it. A message says
the subject, what was wanted, what was found, and what to do.
"""


class HemaloopError(Exception):
    exit_code = 1


class ConfigError(HemaloopError):
    exit_code = 2


class DataError(HemaloopError):
    exit_code = 3


class GateRefused(HemaloopError):  # noqa: N818
    exit_code = 4


class UntrustedError(HemaloopError):
    exit_code = 5


class TransientError(HemaloopError):
    exit_code = 75


# How a process that failed on purpose begins its last message; so the process that started it can tell it apart.
PREFIX = "hemaloop: "


def error_class(exit_code: int) -> type[HemaloopError]:
    """The class behind an exit code; a code that is none of ours is a bug, or something nobody foresaw."""
    classes = (ConfigError, DataError, GateRefused, UntrustedError, TransientError)
    return next((each for each in classes if each.exit_code == exit_code), HemaloopError)
