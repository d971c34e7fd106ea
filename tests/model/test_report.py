"""The page says what was measured, says where nothing was, and needs nothing but itself."""

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_findings import CLASSES, answer, examination, least, macro, whole

from hemaloop.errors import DataError
from hemaloop.model.evaluation.bootstrap import Figure
from hemaloop.model.report.change import robustness_section, shortcut_sentences
from hemaloop.model.report.examples import SHOWN, Examples, Explained, choose_best, choose_worst
from hemaloop.model.report.findings import Answered, Findings, Origin, Rule, read_findings
from hemaloop.model.report.limits import limits
from hemaloop.model.report.making import pruning_section
from hemaloop.model.report.mistakes import find_mistakes
from hemaloop.model.report.model_report import write_report
from hemaloop.model.report.page import Section, render
from hemaloop.model.report.pictures import where
from hemaloop.model.report.quality import classes_section, figures_section
from hemaloop.model.report.trust import calibration_section, strangers_section
from hemaloop.model.report.words import pruning_words
from hemaloop.registry.card import write_card
from hemaloop.stages.facts import facts_of

ORIGIN = Origin("0.1.0", "abc123")
RULES = (
    Rule("bytes", True, "400000", "at most 700000"),
    Rule("drop_from_champion", None, "compared later", "at most 1"),
)
REFUSED = (*RULES, Rule("prune_pays", False, "0", "at least 0.05"))


class Elements(HTMLParser):
    """Every element with its attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def examples(*answers: Answered) -> Examples:
    pixels = np.full((32, 32, 3), 200, np.uint8)
    shown = tuple(Explained(each, pixels, np.eye(4, dtype=np.float32)) for each in answers)
    return Examples(tuple(e for e in shown if e.answer.right), tuple(e for e in shown if not e.answer.right), "map")


def page_of(findings: Findings, rules: Sequence[Rule] = RULES) -> str:
    return write_report(findings, examples(*findings.answers), rules, ORIGIN)


def text_of(section: Section) -> str:
    return Elements("".join(section.blocks)).text


def test_the_page_needs_nothing_but_itself_and_says_its_pictures_in_words() -> None:
    page = Elements(page_of(whole()))
    assert not page.of("script")
    assert not page.of("link")
    addresses = [value or "" for _, each in page.found for name, value in each.items() if name in ("src", "href")]
    assert addresses
    assert all(address.startswith(("data:image/", "#")) for address in addresses)
    assert "default-src 'none'" in str([each.get("content") for each in page.of("meta")])
    assert page.of("img")
    assert all(each.get("alt") for each in page.of("img"))
    assert page.of("svg")
    assert all(each.get("aria-label") and each.get("role") == "img" for each in page.of("svg"))
    ids = Counter(each["id"] for _, each in page.found if each.get("id"))
    assert {(link.get("href") or "")[1:] for link in page.of("a")} <= set(ids)
    assert all(ids[section.get("id")] == 1 for section in page.of("section"))


def test_every_figure_of_the_page_was_measured() -> None:
    text = Elements(page_of(whole())).text
    for told in (
        "0.900 (0.890 to 0.910)", "0.40 MB", "3.00", "0.80 times its bytes and takes 0.50 times its time",
        "12.5 points are lost", "Delta P 0.020", "2 of 4 images are answered", "spoilt 1", "2 of 2 wrong",
        "0.0 % (0.0 to 25.0) of them wrongly", "kappa 0.500 (0.300 to 0.700)", "(AURC): 0.1000 (0.0500 to 0.2000)",
        "90.0 % (80.0 to 100.0) of the noise images",
    ):  # fmt: skip
        assert told in text


@pytest.mark.parametrize(
    ("size", "time", "saves", "paid"),
    [(1.0, 1.0, None, False), (1.0, 0.99, None, True), (0.98, 0.97, 0.05, False), (1.2, 0.95, 0.05, True)],
)
def test_a_prune_that_changed_neither_size_nor_latency_is_called_so(
    size: float, time: float, saves: float | None, paid: bool
) -> None:
    pruned = replace(
        whole(),
        params={} if saves is None else {"gate": {"prune_saves": saves}},
        quantisation={"bytes": {"model": size * 1000, "unpruned": 1000}},
        latency={"int8": {"latency_ms": time}, "unpruned": {"latency_ms": 1.0}},
    )
    said = pruning_words(pruned)
    assert f"{size:.2f} times its bytes and takes {time:.2f} times its time" in said
    assert ("did not pay" not in said) == paid
    assert said in text_of(pruning_section(pruned))
    assert said in write_card(facts_of(pruned, (), ORIGIN))
    assert pruning_words(replace(pruned, pruning={"method": "none"})) == "Nothing was pruned."


def mistaken(count: int, group: str = "slide:s") -> Findings:
    """Of `count` lymphocytes of as many slides a quarter is taken for monocytes; all monocytes are known."""
    wrong = [answer(n, "lymphocyte", "monocyte" if n % 4 == 0 else "lymphocyte", 0.9, group) for n in range(count)]
    right = [answer(n, "monocyte", "monocyte", 0.9, group) for n in range(count, 2 * count)]
    return replace(whole(), answers=(*wrong, *right), params={"evaluate": {"bootstrap_rounds": 500, "seed": 7}})


def test_each_kind_of_mistake_has_its_interval_over_groups() -> None:
    """That of a quarter of 40: by the binomial's standard error some 0.12 to 0.38."""
    (found,) = find_mistakes(mistaken(40))
    assert (found.actual, found.predicted, found.images, found.share.value) == ("lymphocyte", "monocyte", 10, 0.25)
    assert (found.share.low, found.share.high) == (pytest.approx(0.12, abs=0.04), pytest.approx(0.38, abs=0.04))
    assert f"{found.share.low:.3f} to {found.share.high:.3f}" in text_of(classes_section(mistaken(40)))
    unsaid = replace(mistaken(40), params={})
    assert find_mistakes(unsaid)[0].share == Figure(0.25)


def test_images_of_one_group_give_a_mistake_no_interval() -> None:
    found = mistaken(40)
    of_one = tuple(replace(each, group="slide:one") if each.actual == "lymphocyte" else each for each in found.answers)
    assert find_mistakes(replace(found, answers=of_one))[0].share == Figure(0.25)
    assert "Nothing was mistaken" in text_of(classes_section(replace(found, answers=found.answers[40:])))


def test_beside_the_calibration_error_stands_what_chance_alone_would_show() -> None:
    said = "as many images would show 0.0310 by chance alone"
    calibration = examination()["calibration"] | {"ece_test_by_chance": 0.031}
    found = replace(whole(), examination=examination() | {"calibration": calibration})
    assert said in text_of(calibration_section(found))
    assert "by chance" not in text_of(calibration_section(whole()))


def test_strangers_have_each_figure_in_its_column() -> None:
    table = "".join(strangers_section(whole()).blocks)
    assert re.findall("<td>(.*)</td>", table) == [
        "60",
        '0.600<small class="interval">0.500 to 0.700</small>',
        "0.650",
        "90.0 % (80.0 to 100.0)",
    ]


def test_degradations_are_shown_with_their_intervals() -> None:
    rows = tuple(row | {"blur_low": "0.701", "blur_high": "0.977"} for row in whole().robustness)
    assert "0.701 to 0.977" in text_of(robustness_section(replace(whole(), robustness=rows)))


def test_overlapping_intervals_of_the_same_images_are_not_called_equal() -> None:
    text = text_of(figures_section(whole()))
    assert "cannot be told apart" not in text
    assert "whether two files differ cannot be read from how their intervals overlap" in text


def test_what_was_not_measured_is_said_and_never_made_up() -> None:
    page = Elements(page_of(least(), rules=()))
    for name in ("The audit of colour", "Robustness", "Subgroups", "Simulated laboratories", "Agreement", "Pruning"):
        assert f"{name}: not measured." in page.text
    assert "Gate: not judged" in page.text
    assert not page.of("img")
    assert "Not measured in this run: robustness to worse images, subgroups" in page.text


def test_the_gates_verdict_is_the_first_thing_on_the_page() -> None:
    text = Elements(page_of(whole())).text
    assert text.index("Gate holds, but for the comparison with the champion") < text.index("Macro sensitivity")
    assert "Gate refuses: prune pays" in Elements(page_of(whole(), REFUSED)).text


@given(name=st.text(min_size=1, max_size=20))
def test_a_name_is_text_whatever_it_holds(name: str) -> None:
    plain = Elements(render("x", [Section("s", [])]))
    page = Elements(render(name, [Section(name, [name])], subtitle=name, facts=[(name, name)]))
    assert {tag for tag, _ in page.found} <= {tag for tag, _ in plain.found} | {"p", "dl", "div", "dt", "dd"}


answers_of = st.lists(
    st.builds(
        answer, st.integers(1, 10**6), st.sampled_from(CLASSES), st.sampled_from(CLASSES), st.floats(0.5, 1, width=16)
    ),
    max_size=40,
    unique_by=lambda each: each.sha256,
)


@given(answers_of)
def test_shown_are_the_surest_wrong_answers_and_right_ones_of_every_class(answers: list[Answered]) -> None:
    worst, best = choose_worst(answers), choose_best(answers, CLASSES)
    wrong = [each for each in answers if not each.right]
    assert len(worst) == min(SHOWN, len(wrong))
    assert all(each.confidence <= worst[-1].confidence for each in wrong if each not in worst)
    assert all(each.right for each in best)
    known = {each.actual for each in answers if each.right}
    assert {each.actual for each in best} == known


@given(row=st.integers(0, 2), column=st.integers(0, 2))
def test_a_map_is_said_where_it_is_bright(row: int, column: int) -> None:
    strengths = np.zeros((9, 9), np.float32)
    strengths[3 * row + 1, 3 * column + 1] = 1
    words = (("upper left", "upper edge", "upper right"), ("left", "centre", "right"),
             ("lower left", "lower edge", "lower right"))  # fmt: skip
    assert where(strengths) == words[row][column]


@given(chance=st.floats(0.1, 0.5), model=st.floats(0.6, 1), share=st.floats(0, 1.2), grey=st.floats(0, 1))
def test_colours_sentence_follows_from_its_numbers(chance: float, model: float, share: float, grey: float) -> None:
    audit = examination()["shortcut"] | {
        "chance": chance, "model": macro(model), "colour_alone": macro(chance + share * (model - chance)),
        "model_on_grey": macro(grey), "grey_drop_points": 100 * (model - grey),
    }  # fmt: skip
    images, without = shortcut_sentences(audit)
    if abs(share - 0.9) > 1e-6:
        assert ("nearly gives the class away" in images) == (share > 0.9)
    if abs(100 * (model - grey) - 5) > 1e-6:
        assert ("it sees shape" in without) == (100 * (model - grey) < 5)


def told(findings: Findings) -> str:
    return " ".join(limits(findings))


def test_limits_follow_from_the_numbers() -> None:
    assert "No patient is known" not in told(whole())
    slides = tuple(answer(n, "monocyte", "monocyte", 0.9, "slide:s") for n in range(40))
    assert "No patient is known for any test image: groups are slides" in told(replace(whole(), answers=slides))
    assert "The test side has 4 groups" in told(whole())
    assert "The test side has" not in told(replace(whole(), answers=slides))
    assert "up to 12.5 points are lost" in told(whole())
    assert "Colour alone reaches 0.880" in told(whole())
    assert "Fewer than 30 test images of lymphocyte (2), monocyte (2): one image weighs up to 50 points" in told(
        whole()
    )
    assert "all test images are of one device (pi-1)" in told(whole()).lower()
    assert "often sure of images that are none of its classes: noise" in told(whole())
    leaked = examination() | {"leakage": {"exact": 3, "near": 0}}
    assert limits(replace(whole(), examination=leaked))[0].startswith("3 test images are also on another side")


def test_an_interval_that_cannot_be_drawn_is_not_taken_for_certainty() -> None:
    """Of 40 groups that are alike up to 1 - 0.025^(1/40) = 8.8 % may be others (Clopper and Pearson)."""
    of_class = {"lymphocyte": ("0.75", "0.6", "0.9"), "monocyte": ("1.0", "1.0", "1.0")}
    names = ("sensitivity", "sensitivity_low", "sensitivity_high")
    scores = tuple(
        {"label": label, "images": "40"} | dict(zip(names, found, strict=True)) for label, found in of_class.items()
    )
    found = replace(mistaken(40), class_scores=scores)
    assert "All test groups of monocyte (40) have the same sensitivity" in told(found)
    assert "Up to 9 % of the groups of such a class" in told(found)
    assert "are of one group" not in told(found)
    assert "fewer than 5 groups" not in told(found)
    assert "Test images of lymphocyte (4), monocyte (4) are of fewer than 5 groups" in told(
        replace(mistaken(4), class_scores=scores)
    )
    of_one = tuple(replace(each, group="slide:one") if each.actual == "monocyte" else each for each in found.answers)
    assert "All test images of monocyte are of one group" in told(replace(found, answers=of_one))
    assert "All test groups of" not in told(replace(found, answers=of_one))


def test_a_clone_without_figures_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dvc repro"):
        read_findings(tmp_path, {}, CLASSES)


@pytest.mark.slow
def test_a_browser_without_scripts_and_network_shows_it_wide_narrow_light_and_dark(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    (tmp_path / "report.html").write_text(page_of(whole()))
    grounds, asked = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for scheme, width in (("light", 1280), ("dark", 390)):
            page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
            page.on("request", lambda request: asked.append(request.url))
            page.goto((tmp_path / "report.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
            grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        browser.close()
    assert len(set(grounds)) == 2
    assert all(address.startswith(("file:", "data:")) for address in asked)
