"""Are the weights that training starts from to be had? Better known in the first seconds than after minutes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hemaloop.config import read_params

_FETCH = """\
import sys
if sys.argv[1] == "random":
    sys.exit()
from hemaloop.errors import ConfigError
from hemaloop.model.weights import pretrained
try:
    pretrained(sys.argv[1], float(sys.argv[2]))
except ConfigError as error:
    sys.exit(str(error))
"""


# From random weights a network needs more of everything, and batch normalisation learns too. So few images do not teach
# it other laboratories as well.
FROM_SCRATCH: dict[str, Any] = {
    "train.weights": "random",
    "train.epochs": 20,
    "train.learning_rate": 0.002,
    "augment.elsewhere": 0.0,
    "prune.epochs": 12,
    "prune.learning_rate": 0.001,
}


class Search:
    """Fetches, or finds, the weights in a process of its own while other things are set up."""

    def __init__(self, params: Path, changes: dict[str, Any]) -> None:
        train = read_params(params)["train"]
        self._source = str(changes.get("train.weights", train["weights"]))
        alpha = str(changes.get("train.alpha", train["alpha"]))
        command = [sys.executable, "-c", _FETCH, self._source, alpha]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def missing(self) -> str:
        """Why they are not to be had; "" where they are, or where nobody asked for any."""
        _, told = self._process.communicate()
        return told.strip().splitlines()[-1] if self._process.returncode else ""
