"""Who made a candidate what it is: the person who last changed how models are made."""

import subprocess
from pathlib import Path

from hemaloop.dataset.commands import BOT
from hemaloop.errors import DataError

RECIPE = ("params.yaml", "dvc.yaml", "papers/presets")  # images are many people's; a recipe is somebody's choice


def read_author(folder: Path) -> str:
    """The person, as "Name <address>", who last changed the recipe in the clone `folder`; "" where only the bot did.

    Raises:
        DataError: git cannot tell.
    """
    command = ["git", "-C", str(folder), "log", "--format=%aN <%aE>", "--", *RECIPE]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise DataError(f"{folder}: git does not tell who wrote {', '.join(RECIPE)}: {ended.stderr.strip()}")
    bot = "{} <{}>".format(*BOT)
    return next((author for author in ended.stdout.splitlines() if author != bot), "")
