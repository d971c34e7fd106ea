"""What these figures cannot say, in plain sentences that follow from the numbers."""

from collections import Counter
from collections.abc import Sequence

from hemaloop.model.report.change import POINTS, SHORTCUT
from hemaloop.model.report.findings import SHIPPED, Findings, figure_in, value_of
from hemaloop.model.report.words import LET_THROUGH, plain

FEW_GROUPS = 30  # below it a bootstrap over groups is itself uncertain
FEW_IMAGES = 30  # of a class
FEW_OF_CLASS = 5  # groups
WIDE = 0.1  # an interval of macro sensitivity
NEITHER_END = 0.025  # what lies beyond each end of a 95 % interval
PATIENT, SLIDE = "patient:", "slide:"  # how the names of such groups begin


def limits(findings: Findings) -> tuple[str, ...]:
    """Those that hold for this run, the gravest first; the last ones always hold."""
    found = (
        *_leakage(findings), *_shortcut(findings), *_laboratories(findings), *_groups(findings), *_interval(findings),
        *_classes(findings), *_without_width(findings), *_subgroups(findings), *_strangers(findings),
        *_unmeasured(findings),
    )  # fmt: skip
    return (
        *found,
        "Labels are single persons' statements about single images: where they err, the figures err with them.",
        "Nothing here was measured on patients over time, nor beside the judgement of a specialist: these figures are "
        "of images, and no evidence of a benefit.",
    )


def known_groups(findings: Findings) -> Counter[str]:
    """How many test groups are patients, slides, or neither."""
    groups = {answer.group for answer in findings.answers}
    return Counter(
        "patient" if group.startswith(PATIENT) else "slide" if group.startswith(SLIDE) else "other" for group in groups
    )


def _groups(findings: Findings) -> Sequence[str]:
    kinds = known_groups(findings)
    found = []
    if not kinds["patient"]:
        instead = "slides" if kinds["slide"] else "near-duplicates and neighbours in time"
        found.append(
            f"No patient is known for any test image: groups are {instead}, so that images of one patient may stand on "
            "both sides of the split, and the figures may be too good."
        )
    elif kinds["slide"] or kinds["other"]:
        found.append(f"For {kinds['slide'] + kinds['other']} of {kinds.total()} test groups no patient is known.")
    if 0 < kinds.total() < FEW_GROUPS:
        found.append(
            f"The test side has {kinds.total()} groups: intervals over fewer than {FEW_GROUPS} groups are uncertain "
            "themselves, and mostly too narrow."
        )
    return found


def _interval(findings: Findings) -> Sequence[str]:
    figure = findings.figure(SHIPPED, "macro_sensitivity")
    if figure.low is None or figure.high is None:
        return ["There is no interval around macro sensitivity: one group alone has test images."]
    if figure.high - figure.low > WIDE:
        return [
            f"The interval of macro sensitivity is wide, {figure.low:.3f} to {figure.high:.3f}: it takes more groups."
        ]
    return []


def _classes(findings: Findings) -> Sequence[str]:
    images = {row["label"]: int(row["images"]) for row in findings.class_scores}
    absent = [label for label, count in images.items() if count == 0]
    few = [f"{label} ({count})" for label, count in images.items() if 0 < count < FEW_IMAGES]
    found = []
    if absent:
        found.append(f"No test image of {', '.join(absent)}: nothing here speaks of it.")
    if few:
        found.append(
            f"Fewer than {FEW_IMAGES} test images of {', '.join(few)}: one image weighs up to "
            f"{100 / min(count for count in images.values() if count):.0f} points of a class's sensitivity."
        )
    return found


def _without_width(findings: Findings) -> Sequence[str]:
    """Classes around whose sensitivity a bootstrap over groups cannot show an interval.

    Source: of n groups that are all alike, Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404.
    """
    sensitivity = {row["label"]: figure_in(row, "sensitivity") for row in findings.class_scores}
    groups = {label: {each.group for each in findings.answers if each.actual == label} for label in sensitivity}
    single = [label for label, names in groups.items() if len(names) == 1]
    alike = {
        label: len(groups[label])
        for label, figure in sensitivity.items()
        if figure.low is not None and figure.low == figure.high and len(groups[label]) > 1
    }
    found = []
    if single:
        found.append(
            f"All test images of {', '.join(single)} are of one group: drawing groups anew says nothing about such a "
            "class, and the interval of macro sensitivity is too narrow."
        )
    few = [f"{label} ({len(names)})" for label, names in groups.items() if 1 < len(names) < FEW_OF_CLASS]
    if few:
        found.append(
            f"Test images of {', '.join(few)} are of fewer than {FEW_OF_CLASS} groups: one group decides the figures "
            "of such a class, and its intervals tell little."
        )
    if alike:
        named = ", ".join(f"{label} ({count})" for label, count in alike.items())
        found.append(
            f"All test groups of {named} have the same sensitivity, so that an interval drawn from them has no width. "
            f"Up to {100 * (1 - NEITHER_END ** (1 / min(alike.values()))):.0f} % of the groups of such a class may "
            "still have another."
        )
    return found


def _subgroups(findings: Findings) -> Sequence[str]:
    found = []
    for kind in ("device", "stain", "site"):
        names = [row["name"] for row in findings.subgroups if row["kind"] == kind]
        if names == [""]:
            found.append(f"The {kind} of the test images is not recorded.")
        elif len(names) == 1:
            found.append(f"All test images are of one {kind} ({names[0]}): nothing is known of others.")
    return found


def _shortcut(findings: Findings) -> Sequence[str]:
    found = findings.examination.get("shortcut")
    if not found:
        return []
    chance, colour = found["chance"], found["colour_alone"]["macro_sensitivity"]
    model = found["model"]["macro_sensitivity"]
    if model > chance and (colour - chance) / (model - chance) < SHORTCUT:
        return []
    return [f"Colour alone reaches {colour:.3f} on these images, the model {model:.3f}: a high figure proves little."]


def _laboratories(findings: Findings) -> Sequence[str]:
    found = findings.examination.get("laboratories")
    if not found or found["worst_drop_points"] <= POINTS:
        return []
    return [
        f"Under a simulated change of laboratory up to {found['worst_drop_points']:.1f} points are lost: do not use it "
        "with another stain, camera or scale before it was adapted and checked there."
    ]


def _leakage(findings: Findings) -> Sequence[str]:
    found = findings.examination.get("leakage")
    if not found or not (found["exact"] or found["near"]):
        return []
    return [
        f"{found['exact']} test images are also on another side, and {found['near']} look like one that is: the "
        "figures are too good."
    ]


def _strangers(findings: Findings) -> Sequence[str]:
    against = findings.examination.get("out_of_distribution", {}).get("against", {})
    through = [plain(name) for name, each in against.items() if (value_of(each, "let_through") or 0) > LET_THROUGH]
    if not through:
        return []
    return [f"The file is often sure of images that are none of its classes: {', '.join(through)}."]


def _unmeasured(findings: Findings) -> Sequence[str]:
    names = {
        "robustness to worse images": findings.robustness,
        "subgroups": findings.subgroups,
        "the colour shortcut, other laboratories and strange images": findings.examination,
        "calibration by bins": findings.reliability,
    }
    absent = [name for name, found in names.items() if not found]
    return [f"Not measured in this run: {', '.join(absent)}."] if absent else []
