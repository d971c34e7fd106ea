"""How a stage is seen: its progress, and its error as a message and an exit code that `dvc repro` can read."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

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


@contextmanager
def progress(phases: Mapping[str, int]) -> Iterator[Callable[[str, float], None]]:
    """A bar for each phase that begins, where stderr is a terminal; elsewhere the lines of the log must do.

    Args:
        phases: epochs of each.

    Returns:
        What to call with a phase and how many of its epochs are done, a fraction too.
    """
    if not sys.stderr.isatty():
        yield lambda phase, epochs: None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(phase: str, epochs: float) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, total=phases[phase])
            bars.update(tasks[phase], completed=epochs)

        # Through the bars' own stream, lines of the log stand above them.
        handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.StreamHandler)]
        streams = [handler.setStream(sys.stderr) for handler in handlers]
        try:
            yield tell
        finally:
            for handler, stream in zip(handlers, streams, strict=True):
                if stream is not None:
                    handler.setStream(stream)
