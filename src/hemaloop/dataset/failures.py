"""What the output of git or DVC that failed means: a wrong setting, a service that is away, or a stage's own error."""

import re

from hemaloop.errors import PREFIX, ConfigError, HemaloopError, TransientError, error_class

LINES = 12  # of the output, at most, in a message

_AWAY = re.compile(
    r"Could not resolve host|Connection (refused|timed out|reset)|[Tt]imed out|Failed to connect|[Cc]ould not connect"
    r"|error: 5\d\d|early EOF|hung up unexpectedly|SlowDown|InternalError|[Uu]nable to acquire lock|is busy"
)
_WRONG = re.compile(
    r"does not exist|not found|does not appear to be a git repository|Permission denied|Authentication failed"
    r"|could not read Username|error: 40[0134]|refusing to update checked out branch|couldn't find remote ref"
    r"|NoSuchBucket|Forbidden|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|Unable to locate credentials"
    r"|No such file or directory|Read-only file system|unknown remote"
)
_NON_BARE = "refusing to update checked out branch"
_EXIT = re.compile(r"exited with (-?\d+)")
_DVC_ADVICE = "Having any troubles? Hit us up"


def failure(command: str, output: str) -> HemaloopError:
    """The error for a git or DVC command that failed, other than by a stage."""
    message = f"{command} failed: {_last_lines(output)}"
    if _AWAY.search(output):
        return TransientError(f"{message}; the service is away: try again later")
    if _NON_BARE in output:
        return ConfigError(f"{message}; push to a bare repository: make one with `git clone --bare`")
    if _WRONG.search(output):
        return ConfigError(f"{message}; check HEMALOOP_REPOSITORY, HEMALOOP_BUCKET and the AWS_* keys")
    return HemaloopError(message)


def stage_failure(stage: str, output: str) -> HemaloopError:
    """The error that stage `stage` ended with: its own class and message, or the end of what it printed."""
    code = _EXIT.search(output)
    if code is None:
        return failure(f"dvc repro {stage}", output)
    if int(code[1]) < 0 or int(code[1]) > 128:
        return HemaloopError(f"stage {stage} was ended from outside (exit {code[1]}): is there enough memory?")
    printed = output.split("ERROR: failed to reproduce", 1)[0]
    own = printed.rfind(f"\n{PREFIX}")
    message = printed[own + len(PREFIX) + 1 :].strip() if own >= 0 else _last_lines(printed)
    return error_class(int(code[1]))(f"stage {stage}: {message}")


def _last_lines(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith(_DVC_ADVICE)]
    return "\n".join(lines[-LINES:]) or "it said nothing"
