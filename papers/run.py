"""One system under one protocol, by the project's own stages: papers/results/<form>/<system>-<protocol>.json.

python -m papers.run SYSTEM PROTOCOL --form FORM

What was done before, and would give the same, is not done again: run it again after an interruption.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

from hemaloop.errors import PREFIX, HemaloopError
from hemaloop.files import write_atomically
from papers.result import Run, skipped, tell
from papers.stages import read_stages, run_stages
from papers.systems import FORMS, ROOT, params_of, read_systems
from papers.weights import missing_weights
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
    result = RESULTS / form / f"{name}-{protocol}.json"
    folder = WORK / form / f"{name}-{protocol}"
    drawn = draw_sides(systems, system, systems.form(form), protocol, params, WORK)
    described = Run(name, protocol, form, folder, system, params, drawn)
    if reason := missing_weights(params["train"]):
        log.info("skipped: %s", reason)
        found = skipped(described, reason)
    else:
        write_workspace(folder, system, drawn, params)
        seconds = run_stages(folder, ROOT, read_stages(ROOT / "dvc.yaml"), params)
        found = tell(described, seconds, WORK)
    write_atomically(result, (json.dumps(found, indent=1) + "\n").encode())
    return result


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
