"""How a stage ends: its error becomes a message and an exit code that `dvc repro`, and whoever called it, can read."""

import logging
import sys
from collections.abc import Callable

from hemaloop.errors import PREFIX, HemaloopError


def run(main: Callable[[], None]) -> None:
    """Run a stage in the repository's root, and end the process when it fails on purpose.

    `main` prints what a person should see; its HemaloopError is printed on stderr as 'hemaloop: message', and its
    class is the exit code (see errors.py). Any other error is a bug: its traceback is shown, and the exit code is 1.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        main()
    except HemaloopError as error:
        sys.stdout.flush()
        print(f"{PREFIX}{error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
