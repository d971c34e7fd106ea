"""What helps in a laboratory that a model has never seen: one thing after another, on simulated ones.

python -m experiments.laboratories

A logistic regression (scikit-learn's, as it comes) on features of MobileNetV2 as ImageNet left it learns eight kinds of
cells from training images of one laboratory, and answers validation images as eleven others would have shown them
(imaging/laboratories.py, HELD_OUT). Test images take no part. Of the validation images twenty are a site's own labelled
ones; nothing is scored on them. What comes out goes to experiments/results/laboratories.{json,md}.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import Progress

from experiments.views import AT_HOME, HOME, LABORATORIES, OFF_CENTRE, SEED, Pixels, Preparation, again
from hemaloop.errors import PREFIX, HemaloopError
from hemaloop.files import write_atomically
from hemaloop.model.augmentation import AugmentParams, augment
from hemaloop.model.runtime import start_tensorflow
from papers.result import revision

if TYPE_CHECKING:
    from experiments.frozen import Experiment, Tried

RESULTS = Path(__file__).parent / "results"
HELD_OUT = tuple(name for name in LABORATORIES if name not in HOME)
IMAGES = 80  # of each class to learn from; half as many are answered
COPIES = 4
CENTRED, SCALE = "nucleus_centre", {"scale": {"um_per_px": 0.2}}

AS_IT_IS = Preparation("the whole image, resized", ("square", "resize"))
ESTIMATED = Preparation("a common scale, which red cells or the nucleus tell", (SCALE,))
TOLD = Preparation("a common scale, told with each image", (SCALE,), told=True)
CENTRED_TOO = Preparation("a common scale, estimated, and the nucleus in the middle", (CENTRED, SCALE))
# What follows goes on from ESTIMATED.
FURTHER: Mapping[str, tuple[Any, ...]] = {
    "... and white balance": ("white_balance",),
    "... and Reinhard's stain normalisation": ("reinhard",),
    "... and Macenko's, after white balance": ("white_balance", "macenko"),
}
SIMULATED = "... each image four times: through simulated laboratories too"
AUGMENTED: Mapping[str, AugmentParams] = {
    "... each image four times: turned and mirrored": AugmentParams(elsewhere=0.0),
    SIMULATED: AugmentParams(),
    "... the same, half of those without colour": AugmentParams(grey=0.5),
}
STATISTICS = "... with 0.3 of the site's batch-norm statistics, of twenty images"
ADAPTED = "... with `hemaloop adapt`, of twenty labelled images"


def try_all(run: "Experiment") -> "list[Tried]":
    """Every way, in the order of the table."""
    tried: list[Tried] = []
    with Progress(transient=True) as progress:
        bar = progress.add_task("laboratories", total=6 + len(FURTHER) + len(AUGMENTED))

        def done(found: "Tried") -> None:
            tried.append(found)
            progress.advance(bar)

        for preparation in (AS_IT_IS, TOLD, CENTRED_TOO, ESTIMATED):
            training, views = run.prepared(preparation)
            done(run.answer(preparation.title, run.learn(training), views))
        for what, steps in FURTHER.items():
            normalised = {name: again(pixels, steps) for name, pixels in views.items()}
            done(run.answer(what, run.learn(again(training, steps)), normalised))
        heads = {what: run.learn(_copies(training, each), COPIES) for what, each in AUGMENTED.items()}
        for what, head in heads.items():
            done(run.answer(what, head, views))
        done(run.with_statistics(STATISTICS, heads[SIMULATED], views))
        done(run.adapted(ADAPTED, heads[SIMULATED], views))
    return tried


def _copies(pixels: Pixels, augmentation: AugmentParams) -> Pixels:
    varied = [augment(pixels, np.random.default_rng([SEED, copy]), augmentation) for copy in range(COPIES)]
    return np.concatenate(varied).astype(np.uint8)


def to_markdown(tried: "Sequence[Tried]") -> str:
    """A row for each way; macro sensitivity in percent."""
    names = [name for name in tried[0].laboratories if name not in HOME]
    head = ["what is done", *HOME, "elsewhere, mean", "worst", *[name.replace("_", " ") for name in names]]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for each in tried:
        values = {name: figure["value"] or 0.0 for name, figure in each.laboratories.items()}
        low, high = (each.laboratories[AT_HOME][end] for end in ("low", "high"))
        home = f"{_percent(values[AT_HOME])} ({_percent(low)} to {_percent(high)})"
        cells = [_what(each), home, _percent(values[OFF_CENTRE]), _percent(each.mean), _percent(values[each.worst])]
        lines.append("| " + " | ".join([*cells, *(_percent(values[name]) for name in names)]) + " |")
    return "\n".join(lines) + "\n"


def _what(tried: "Tried") -> str:
    refused = len(tried.refused)
    return f"{tried.what} (refused in {refused} of {len(tried.laboratories)})" if refused else tried.what


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.laboratories", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--images", type=int, default=IMAGES, help="of each class (default: %(default)s)")
    parser.add_argument("--laboratories", nargs="+", default=HELD_OUT, choices=HELD_OUT, metavar="NAME")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    try:
        start_tensorflow(SEED)
        from experiments.frozen import Experiment

        run = Experiment(asked.images, [*HOME, *asked.laboratories])
        tried = try_all(run)
    except HemaloopError as error:
        sys.stderr.write(f"{PREFIX}{error}\n")
        sys.exit(error.exit_code)
    told = {
        "command": "python -m experiments.laboratories", **revision(), "seed": SEED,
        "images": {"of_a_class": asked.images, "held_out": len(run.held_out), "scored": len(run.scored)},
        "network": run.network(), "tried": [asdict(each) for each in tried],
    }  # fmt: skip
    write_atomically(asked.output / "laboratories.json", (json.dumps(told, indent=1) + "\n").encode())
    write_atomically(asked.output / "laboratories.md", to_markdown(tried).encode())
    sys.stdout.write(to_markdown(tried))


if __name__ == "__main__":
    main()
