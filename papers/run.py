"""One system under one protocol, by the project's own stages: papers/results/<form>/<system>-<protocol>.json.

python -m papers.run SYSTEM PROTOCOL --form FORM

What was done before, and would give the same, is not done again: run it again after an interruption.
"""

import argparse
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from hemaloop.config import lay_over
from hemaloop.errors import PREFIX, ConfigError, HemaloopError
from hemaloop.files import write_atomically
from hemaloop.model.parameters import RANDOM
from papers.result import Run, skipped, tell
from papers.stages import read_stages, run_stages
from papers.systems import FORMS, ROOT, params_of, read_systems
from papers.weights import SCRATCH, are_missing, environment_for, told_missing
from papers.workspace import draw_sides, write_workspace

WORK = ROOT / "papers" / "work"
RESULTS = ROOT / "papers" / "results"

log = logging.getLogger(__name__)


def run(name: str, protocol: str, form: str) -> Path:
    """Run what is not done yet, and write the result.

    Raises:
        HemaloopError: a setting is wrong, images are missing, or a stage failed.
    """
    systems = read_systems()
    system, params = systems.named(name), params_of(systems, name, protocol, form)
    folder = WORK / form / f"{name}-{protocol}"
    drawn = draw_sides(systems, system, systems.form(form), protocol, params, WORK)
    described = Run(name, protocol, form, folder, system, params, drawn)
    try:
        found = _run(described)
    except ConfigError as error:
        if not are_missing(error):
            raise
        log.info("%s", error)
        if systems.form(form).without_weights == SCRATCH:
            found = _run(replace(described, params=lay_over(params, {"train": {"weights": RANDOM}})))
        else:
            found = skipped(described, told_missing(params["train"]))
    result = RESULTS / form / f"{name}-{protocol}.json"
    write_atomically(result, (json.dumps(found, indent=1) + "\n").encode())
    return result


def _run(described: Run) -> dict[str, Any]:
    """The stages, in a folder of the run's own."""
    params = described.params
    write_workspace(described.folder, described.system, described.drawn, params)
    environment = environment_for(params["train"])
    seconds = run_stages(described.folder, ROOT, read_stages(ROOT / "dvc.yaml"), params, environment)
    return tell(described, seconds, WORK)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m papers.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("system")
    parser.add_argument("protocol", help="paper, honest, or fold-0 to fold-9")
    parser.add_argument("--form", choices=FORMS, default="full", help="(default: %(default)s)")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        log.info("wrote %s", run(asked.system, asked.protocol, asked.form).relative_to(ROOT))
    except HemaloopError as error:
        sys.exit(_end(error))


def _end(error: HemaloopError) -> int:
    sys.stderr.write(f"{PREFIX}{error}\n")
    return error.exit_code


if __name__ == "__main__":
    main()
