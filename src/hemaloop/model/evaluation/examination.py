"""evaluation/examination.json: what the shipped file is worth beyond its test images, section by section."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from hemaloop.imaging.degradations import DEGRADATIONS, STRENGTHS
from hemaloop.model.evaluation.abstention import Selected, area_under_risk_coverage, choose_threshold, select
from hemaloop.model.evaluation.agreement import Agreement, compare_answers
from hemaloop.model.evaluation.bootstrap import Figure
from hemaloop.model.evaluation.calibration import scaled
from hemaloop.model.evaluation.conditions import CLEAN, GREY, LABORATORY, RESTAINED, SHUFFLED, Condition
from hemaloop.model.evaluation.figures import Answers, Probabilities, calibration_error, chance_calibration_errors
from hemaloop.model.evaluation.outliers import KEPT, Detection, detect, threshold_of
from hemaloop.model.evaluation.scoring import CHANCES, flat, macro_sensitivity
from hemaloop.model.evaluation.subgroups import Subgroup, worst

NO_SITE = "not recorded: a sidecar names the device, and params.yaml no site of any (section sites)"
SITES = "by the devices that params.yaml names in section sites"

Section = dict[str, Any]


@dataclass(frozen=True)
class Examined:
    """The shipped file's answers to the same n test images under every condition."""

    clean: Answers
    conditions: tuple[Condition, ...]
    probabilities: Probabilities  # (conditions, n, classes)
    rounds: int  # of the bootstrap
    seed: int

    def under(self, kind: str) -> dict[str, Probabilities]:
        """(n, classes) by the name of each condition of a kind."""
        found = zip(self.conditions, self.probabilities, strict=True)
        return {condition.name: answers for condition, answers in found if condition.kind == kind}

    def sensitivity(self, probabilities: Probabilities) -> Figure:
        return macro_sensitivity(Answers(self.clean.labels, probabilities, self.clean.groups), self.rounds, self.seed)


def robustness(examined: Examined) -> tuple[list[str], list[list[float | None]]]:
    """evaluation/robustness.csv: a row a strength, 0 the clean image; macro sensitivity and its interval by kind."""
    clean = examined.sensitivity(examined.clean.probabilities)
    of_kind = {
        kind: {int(name): examined.sensitivity(answers) for name, answers in examined.under(kind).items()}
        for kind in DEGRADATIONS
    }
    head = ["strength", *(column for kind in DEGRADATIONS for column in flat({kind: clean}))]
    rows: list[list[float | None]] = [
        [strength, *flat({kind: of_kind[kind].get(strength, clean) for kind in DEGRADATIONS}).values()]
        for strength in (0, *STRENGTHS)
    ]
    return head, rows


def summarise_robustness(examined: Examined) -> Section:
    """The mean over kinds and strengths, and the worst."""
    clean = examined.sensitivity(examined.clean.probabilities).value
    found = {
        f"{kind} {name}": examined.sensitivity(answers).value or 0.0
        for kind in DEGRADATIONS
        for name, answers in examined.under(kind).items()
    }
    lowest = min(found, key=lambda name: found[name])
    mean = float(np.mean(list(found.values())))
    return {
        "images": len(examined.clean), "clean": clean, "mean": mean,
        "mean_drop_points": _points(clean, mean), "worst": lowest, "worst_macro_sensitivity": found[lowest],
    }  # fmt: skip


def laboratories(examined: Examined) -> Section:
    """Macro sensitivity in each simulated laboratory that nobody trained on, and the points lost against clean."""
    clean = examined.sensitivity(examined.clean.probabilities)
    shifts = {name: examined.sensitivity(answers) for name, answers in examined.under(LABORATORY).items()}
    drops = {name: _points(clean.value, figure.value) for name, figure in shifts.items()}
    lowest = max(drops, key=lambda name: drops[name])
    return {
        "images": len(examined.clean),
        "clean": clean.value,
        "mean": float(np.mean([figure.value or 0.0 for figure in shifts.values()])),
        "mean_drop_points": float(np.mean(list(drops.values()))),
        "worst": lowest,
        "worst_drop_points": drops[lowest],
        "shifts": {
            name: flat({"macro_sensitivity": figure}) | {"drop_points": drops[name]} for name, figure in shifts.items()
        },
    }


def shortcut(examined: Examined, by_colour: Answers, train_images: int) -> Section:
    """Colour alone beside the model, and the model without colour and under another stain.

    Args:
        by_colour: what the nearest neighbour in colour statistics says to the whole test side.
    """
    colour = macro_sensitivity(by_colour, examined.rounds, examined.seed)
    clean, grey, restained = (
        examined.sensitivity(next(iter(examined.under(kind).values()))) for kind in (CLEAN, GREY, RESTAINED)
    )
    classes = len(np.unique(by_colour.labels))
    return {
        "train_images": train_images,
        "chance": 1 / classes,
        "colour_alone": flat({"macro_sensitivity": colour}) | {"images": len(by_colour)},
        **{
            name: flat({"macro_sensitivity": figure}) | {"images": len(examined.clean)}
            for name, figure in (("model", clean), ("model_on_grey", grey), ("model_on_restained", restained))
        },
        "grey_drop_points": _points(clean.value, grey.value),
        "restained_drop_points": _points(clean.value, restained.value),
    }


def agreement(examined: Examined, parent: Answers) -> Section:
    """How far the shipped file says of the clean images what its float parent says."""
    return _flattened(compare_answers(examined.clean, parent, examined.rounds, examined.seed))


def abstention(examined: Examined, validation: Answers, test: Answers, risk: float) -> Section:
    """A threshold from the validation side, and what it does there and on the test side."""
    threshold, rounds, seed = choose_threshold(validation, risk), examined.rounds, examined.seed
    return {
        "wanted_risk": risk,
        "threshold": threshold,
        "validation": _flattened(select(validation, threshold, rounds, seed)),
        "test": _flattened(select(test, threshold, rounds, seed)),
        **flat({"aurc": area_under_risk_coverage(test, rounds, seed)}),
    }


def out_of_distribution(examined: Examined, strangers: Mapping[str, Probabilities], validation: Answers) -> Section:
    """How well the file's own doubt tells strange images from test images; worse images too, at the top strength."""
    known, threshold = examined.clean, threshold_of(validation.probabilities)
    changed = {SHUFFLED: next(iter(examined.under(SHUFFLED).values()))}
    changed |= {f"{kind}_{STRENGTHS[-1]}": examined.under(kind)[str(STRENGTHS[-1])] for kind in DEGRADATIONS}
    groups = {name: [f"{name} {place}" for place in range(len(answers))] for name, answers in strangers.items()}

    def told(name: str, answers: Probabilities) -> Section:
        of_whom = groups.get(name, known.groups)
        return _flattened(detect(known, answers, of_whom, threshold, examined.rounds, examined.seed))

    return {
        "score": "one minus the largest probability: the file gives nothing else",
        "kept_on_validation": KEPT,
        "threshold": threshold,
        "known_images": len(known),
        "against": {name: told(name, answers) for name, answers in (*strangers.items(), *changed.items())},
    }


def calibration(test: Answers, validation: Answers, temperature: float | None, seed: int) -> Section:
    """The calibration error with the temperature that is in the file's last layer, and as it would be without.

    By chance: what a perfectly calibrated model would show on as many test images; nothing below it can be seen.
    """
    sides = {"test": test, "validation": validation}
    found: Section = {"temperature": temperature} | {f"ece_{name}": _ece(side) for name, side in sides.items()}
    if temperature is not None:
        for name, side in sides.items():
            before = Answers(side.labels, scaled(side.probabilities, 1 / temperature), side.groups)
            found[f"ece_{name}_before"] = _ece(before)
    return found | {"ece_test_by_chance": float(chance_calibration_errors(test, CHANCES, seed).mean())}


def subgroups(found: Sequence[Subgroup], fewest: int) -> Section:
    """The worst of those that are large enough to be named."""
    lowest = worst(found, fewest)
    sites = SITES if any(each.kind == "site" and each.name for each in found) else NO_SITE
    return {"fewest_images": fewest, "worst": None if lowest is None else asdict(lowest), "site": sites}


def _ece(answers: Answers) -> float:
    return float(calibration_error(answers, np.ones((len(answers), 1)))[0])


def _flattened(found: Agreement | Selected | Detection) -> Section:
    """By the names of its fields; each figure with its interval beside it."""
    section: Section = {}
    for field in fields(found):
        value = getattr(found, field.name)
        section |= flat({field.name: value}) if isinstance(value, Figure) else {field.name: value}
    return section


def _points(clean: float | None, other: float | None) -> float:
    """Percentage points lost."""
    return 100 * ((clean or 0.0) - (other or 0.0))
