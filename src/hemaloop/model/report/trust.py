"""When to believe an answer: calibration, when to ask a person, and images that are none of the classes."""

from hemaloop.model.report import plots
from hemaloop.model.report.blocks import figure, not_measured, paragraph, percent, stacked, table, with_interval
from hemaloop.model.report.findings import SHIPPED, Findings, figure_in, value_of
from hemaloop.model.report.page import Section
from hemaloop.model.report.words import plain, strangers_words, threshold_words


def calibration_section(findings: Findings) -> Section:
    """The reliability diagram, and what temperature scaling did."""
    title = "Calibration"
    if not findings.reliability:
        return Section(title, [not_measured("The reliability of confidences")])
    bins = findings.reliability
    confidence, accuracy, images = (
        [value_of(row, name) or 0.0 for row in bins] for name in ("confidence", "accuracy", "images")
    )
    gap = max(range(len(bins)), key=lambda place: images[place] * abs(accuracy[place] - confidence[place]))
    ece = with_interval(findings.figure(SHIPPED, "ece"))
    alt = f"Accuracy by confidence in {len(bins)} bins of as many images each; calibration error {ece}"
    svg = plots.lines(
        [plots.Line("shipped file", confidence, accuracy)], "mean confidence", "accuracy", alt,
        y_limits=(-0.02, 1.02), diagonal=True,
    )  # fmt: skip
    told = [
        paragraph(
            f"Calibration error (ECE): {ece}. On the dotted line a confidence is what it says: of the answers given "
            "with 0.9, nine in ten are right."
        ),
        paragraph(
            f"The bin that adds most to it: mean confidence {confidence[gap]:.3f}, accuracy {accuracy[gap]:.3f}, "
            f"{images[gap]:.0f} images.",
            "note",
        ),
        *_by_chance(findings),
        *_temperature(findings),
    ]
    return Section(title, [*told, figure(svg, "Reliability: bins of equally many test images, by confidence")])


def abstention_section(findings: Findings) -> Section:
    """The risk-coverage curve, and the threshold that was chosen on the validation side."""
    title = "When to ask a person"
    blocks = []
    chosen = findings.examination.get("abstention")
    if chosen:
        blocks += [
            paragraph(threshold_words(findings), "lead"),
            paragraph(f"Area under the curve (AURC): {with_interval(figure_in(chosen, 'aurc'), 4)}.", "note"),
        ]
    if findings.risk_coverage:
        covered, risk = (
            [value_of(row, name) or 0.0 for row in findings.risk_coverage] for name in ("coverage", "risk")
        )
        alt = f"Share of wrong answers by share of images answered: {risk[-1]:.3f} when all are answered"
        svg = plots.lines(
            [plots.Line("shipped file", covered, risk)], "share answered", "share wrong", alt, markers=False
        )
        blocks.append(figure(svg, "Risk and coverage: the surest answers first, on the test side"))
    return Section(title, blocks or [not_measured("A threshold below which a person is asked")])


def strangers_section(findings: Findings) -> Section:
    """Whether strange images are told from known ones."""
    title = "Strange images"
    found = findings.examination.get("out_of_distribution")
    if not found:
        return Section(title, [not_measured("How the file answers to strange images")])
    against = found["against"]
    rows = [
        [
            plain(name),
            str(each["images"]),
            stacked(figure_in(each, "auroc")),
            stacked(figure_in(each, "auroc_entropy")),
            percent(figure_in(each, "let_through")),
        ]
        for name, each in against.items()
    ]
    caption = f"Told from {found['known_images']} test images by {found['score'].split(':')[0]}"
    return Section(
        title,
        [
            paragraph(strangers_words(findings), "lead"),
            table(["images", "number", "AUROC", "AUROC by entropy", "let through"], rows, caption),
            paragraph("AUROC 0.5: strange images cannot be told from known ones at all; 1: always.", "note"),
        ],
    )


def agreement_section(findings: Findings) -> Section:
    """What the shipped file still says of what its float parent said."""
    title = "Agreement with the float model"
    found = findings.examination.get("agreement")
    if not found:
        return Section(title, [not_measured("Agreement")])
    told = (
        f"The shipped file and the float model give the same answer to {percent(figure_in(found, 'same_answers'))} of "
        f"{found['images']} test images (Cohen's kappa {with_interval(figure_in(found, 'kappa'))}). "
        f"Made small, it spoilt {found['spoilt']} right answers and mended {found['mended']} wrong ones. "
        f"Its probabilities differ by {found['mean_probability_difference']:.3f} on average, "
        f"{found['largest_probability_difference']:.3f} at most."
    )
    return Section(title, [paragraph(told)])


def _by_chance(findings: Findings) -> list[str]:
    """Below it nothing can be seen."""
    chance = value_of(findings.examination.get("calibration", {}), "ece_test_by_chance")
    if chance is None:
        return []
    told = f"A perfectly calibrated file that answered as many images would show {chance:.4f} by chance alone."
    return [paragraph(told, "note")]


def _temperature(findings: Findings) -> list[str]:
    found = findings.examination.get("calibration", {})
    if found.get("temperature") is None:
        return []
    return [
        paragraph(
            f"Temperature {found['temperature']:.3f}, found on the validation side, is in the file's last layer: "
            f"without it the calibration error on the test side would be {found['ece_test_before']:.4f}, with it "
            f"{found['ece_test']:.4f}.",
            "note",
        )
    ]
