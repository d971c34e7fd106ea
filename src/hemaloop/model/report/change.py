"""What happens elsewhere: worse images, other laboratories, other devices, and without colour."""

from typing import Any

from hemaloop.model.evaluation.bootstrap import Figure
from hemaloop.model.report import plots
from hemaloop.model.report.blocks import (
    figure,
    not_measured,
    number,
    paragraph,
    side_by_side,
    stacked,
    table,
    with_interval,
)
from hemaloop.model.report.findings import Findings, figure_in, value_of
from hemaloop.model.report.page import Section
from hemaloop.model.report.words import plain

MACRO = "macro_sensitivity"
KINDS = {
    "blur": "blur",
    "noise": "noise",
    "jpeg": "JPEG",
    "white_balance": "white balance",
    "exposure": "exposure",
}
POINTS = 5.0  # a loss that the project calls large: its own aim for laboratories that nobody trained on
SHORTCUT = 0.9  # of the way from chance to the model: from here on colour alone nearly does it


def robustness_section(findings: Findings) -> Section:
    """Curves over five strengths of each degradation."""
    title = "Worse images"
    rows = findings.robustness
    if not rows:
        return Section(title, [not_measured("Robustness")])
    strengths = [value_of(row, "strength") or 0.0 for row in rows]
    series = [
        plots.Line(name, strengths, [value_of(row, kind) or 0.0 for row in rows])
        for kind, name in KINDS.items()
        if kind in rows[0]
    ]
    alt = "Macro sensitivity from clean to strength 5: " + "; ".join(
        f"{line.name} {line.y[0]:.3f} to {line.y[-1]:.3f}" for line in series
    )
    svg = plots.lines(series, "strength (0: the clean image)", "macro sensitivity", alt, y_limits=(0, 1.02))
    summary = findings.examination.get("robustness")
    told = [paragraph(_robustness(summary), "lead")] if summary else []
    shown = [
        [name, *(stacked(figure_in(row, kind)) for row in rows)] for kind, name in KINDS.items() if kind in rows[0]
    ]
    columns = ["", *("clean" if strength == 0 else f"{strength:.0f}" for strength in strengths)]
    return Section(
        title,
        [
            *told,
            side_by_side([figure(svg, "Each image made worse before it is prepared, in five strengths")]),
            table(columns, shown, "Macro sensitivity by strength, with 95 % intervals"),
        ],
    )


def laboratories_section(findings: Findings) -> Section:
    """Simulated laboratories that nobody trained on."""
    title = "Other laboratories"
    found = findings.examination.get("laboratories")
    if not found:
        return Section(title, [not_measured("Simulated laboratories")])
    shifts = found["shifts"]
    estimates = [plots.Estimate("as it is", Figure(found["clean"]))]
    estimates += [plots.Estimate(plain(name), figure_in(each, MACRO), 1) for name, each in shifts.items()]
    rows = [
        [plain(name), with_interval(figure_in(each, MACRO)), f"{each['drop_points']:+.1f}"]
        for name, each in shifts.items()
    ]
    alt = "Macro sensitivity: " + "; ".join(f"{each.name} {number(each.figure.value)}" for each in estimates)
    return Section(
        title,
        [
            paragraph(_laboratories(found), "lead"),
            side_by_side(
                [
                    figure(
                        plots.intervals(estimates, "macro sensitivity", alt),
                        "Simulated laboratories, with 95 % intervals",
                    ),
                    table(["laboratory", "macro sensitivity", "points lost"], rows, f"{found['images']} test images"),
                ]
            ),
            paragraph(
                "The laboratories are simulated: other stains, lamps, cameras and scales than any used in training. "
                "A real laboratory may differ in ways that nobody simulated.",
                "note",
            ),
        ],
    )


def subgroups_section(findings: Findings) -> Section:
    """Devices and stains, each by itself."""
    title = "Subgroups"
    rows = findings.subgroups
    if not rows:
        return Section(title, [not_measured("Subgroups")])
    summary = findings.examination.get("subgroups", {})
    shown = [
        [
            row["kind"],
            row["name"] or "not recorded",
            row["images"],
            row["groups"],
            row["classes"],
            with_interval(figure_in(row, MACRO)),
            with_interval(figure_in(row, "accuracy")),
        ]
        for row in rows
    ]
    head = ["kind", "name", "images", "groups", "classes", "macro sensitivity", "accuracy"]
    return Section(
        title,
        [
            paragraph(_worst(summary), "lead"),
            table(
                head,
                shown,
                "The shipped file by device, stain and site; macro over the classes that each has",
                words=(1,),
            ),
            paragraph(f"Site: {summary.get('site', 'not recorded')}. Age, sex and ethnicity are not recorded.", "note"),
        ],
    )


def shortcut_section(findings: Findings) -> Section:
    """Whether colour alone gives the class away, and whether the model needs it."""
    title = "Colour as a shortcut"
    found = findings.examination.get("shortcut")
    if not found:
        return Section(title, [not_measured("The audit of colour")])
    names = {
        "colour_alone": "nearest neighbour on 12 colour statistics",
        "model": "the shipped file",
        "model_on_grey": "the shipped file without colour",
        "model_on_restained": "the shipped file, other stain",
    }
    estimates = [
        plots.Estimate(text, figure_in(found[name], MACRO), int(name != "colour_alone")) for name, text in names.items()
    ]
    rows = [
        [text, with_interval(figure_in(found[name], MACRO)), str(found[name]["images"])] for name, text in names.items()
    ]
    alt = "Macro sensitivity: " + "; ".join(f"{each.name} {number(each.figure.value)}" for each in estimates)
    return Section(
        title,
        [
            *(paragraph(sentence, "lead") for sentence in shortcut_sentences(found)),
            figure(
                plots.intervals(estimates, "macro sensitivity", alt, wanted=found["chance"]),
                f"Macro sensitivity with 95 % intervals; dotted: chance, {found['chance']:.3f}",
            ),
            table(["", "macro sensitivity", "images"], rows, "The audit"),
        ],
    )


def shortcut_sentences(found: dict[str, Any]) -> tuple[str, str]:
    """What the audit says of the images, and of the model, in plain words."""
    chance, colour, model = (
        found["chance"],
        found["colour_alone"]["macro_sensitivity"],
        found["model"]["macro_sensitivity"],
    )
    share = (colour - chance) / (model - chance) if model > chance else 1.0
    if share >= SHORTCUT:
        images = (
            f"Colour nearly gives the class away: a nearest neighbour that sees twelve colour statistics and no cell "
            f"reaches {colour:.3f}, the model {model:.3f}. The figure on this page's top says little about morphology."
        )
    elif share > 0.5:
        images = (
            f"Colour is much of what these images offer: twelve colour statistics alone reach {colour:.3f}, the model "
            f"{model:.3f}, chance {chance:.3f}."
        )
    else:
        images = f"Colour alone does not do it: {colour:.3f} against the model's {model:.3f}, chance {chance:.3f}."
    return images, _model_on_grey(found, chance)


def _model_on_grey(found: dict[str, Any], chance: float) -> str:
    grey, drop = found["model_on_grey"]["macro_sensitivity"], found["grey_drop_points"]
    restained = found["restained_drop_points"]
    stain = (
        f"Under another stain it loses {restained:.1f} points." if restained > 0 else "Another stain costs it nothing."
    )
    if drop <= POINTS:
        lost = f"{drop:.1f} points lost" if drop > 0 else "nothing lost"
        return f"Without colour the model still reaches {grey:.3f}, {lost}: it sees shape. {stain}"
    if grey - chance < 0.5 * (found["model"]["macro_sensitivity"] - chance):
        return f"Without colour the model falls to {grey:.3f}: most of what it knows is colour. {stain}"
    return f"Without colour the model falls to {grey:.3f}, {drop:.1f} points lower: it leans on colour. {stain}"


def _robustness(summary: dict[str, Any]) -> str:
    kind, strength = summary["worst"].rsplit(" ", 1)
    lost = summary["mean_drop_points"]
    mean = f"{lost:.1f} points below the clean" if lost > 0 else "no lower than the clean"
    return (
        f"Over all kinds and strengths the mean macro sensitivity is {summary['mean']:.3f}, {mean} "
        f"{number(summary['clean'])}; worst is {plain(kind)} at strength {strength} with "
        f"{summary['worst_macro_sensitivity']:.3f} ({summary['images']} test images)."
    )


def _laboratories(found: dict[str, Any]) -> str:
    worst, drop = plain(found["worst"]), found["worst_drop_points"]
    if drop <= POINTS:
        return f"No simulated laboratory costs more than {POINTS:g} points: the worst, {worst}, costs {drop:.1f}."
    return (
        f"In the worst simulated laboratory, {worst}, {drop:.1f} points are lost; {found['mean_drop_points']:.1f} on "
        "average. In a laboratory that differs like that the file must not be used before it was adapted and checked."
    )


def _worst(summary: dict[str, Any]) -> str:
    worst, fewest = summary.get("worst"), summary.get("fewest_images", "?")
    if not worst:
        return f"No subgroup has {fewest} test images or more: none can be named the worst."
    return (
        f"Worst of those with {fewest} images or more: {worst['kind']} {worst['name'] or '(not recorded)'}, macro "
        f"sensitivity {number(worst['macro_sensitivity'])} on {worst['images']} images."
    )
