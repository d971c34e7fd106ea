"""Are the weights that training starts from to be had? Better known in the first seconds than after minutes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hemaloop.config import read_params
from hemaloop.errors import ConfigError

_FETCH = """\
import sys
from hemaloop.errors import ConfigError
from hemaloop.model.weights import pretrained
try:
    pretrained(sys.argv[1], float(sys.argv[2]))
except ConfigError as error:
    sys.exit(str(error))
"""


@contextmanager
def fetched(params: Path, changes: dict[str, object]) -> Iterator[None]:
    """Fetch, or find, the weights while the block runs.

    Raises: ConfigError: they are not to be had.
    """
    train = read_params(params)["train"]
    source = str(changes.get("train.weights", train["weights"]))
    if source == "random":
        yield
        return
    alpha = str(changes.get("train.alpha", train["alpha"]))
    command = [sys.executable, "-c", _FETCH, source, alpha]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield
        except BaseException:
            process.kill()
            raise
        _, told = process.communicate()
    if process.returncode != 0:
        raise ConfigError(
            f"{told.strip().splitlines()[-1]}; for the demo: make demo ARGS='--set train.weights=random' "
            "(the model will be poor, and the gate may say so)"
        )
