"""Model card and TRIPOD+AI table say what the page says, and leave to the laboratory what is the laboratory's."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from some_findings import least, whole

from hemaloop.model.report.findings import Origin, Rule
from hemaloop.registry.card import LABORATORY, LONGEST, Facts, short_card, write_card, write_tripod
from hemaloop.stages.facts import facts_of

ORIGIN = Origin("0.1.0", "abc123")
SECTIONS = (
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses",
    "Ethical considerations", "Caveats and recommendations",
)  # fmt: skip
# Of 27 items; letters of those that have parts.
PARTS = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc", 23: "ab", 27: "abc"}
# What no file of a pipeline can know.
UNKNOWN = ("1", "2", "3a", "3b", "3c", "6a", "6c", "8b", "8c", "17", "18a", "18b", "18c", "18d", "18e", "19")


def facts() -> Facts:
    return facts_of(whole(), (Rule("bytes", False, "9", "at most 7"),), ORIGIN)


def rows(table: str) -> dict[str, list[str]]:
    """Cells of each row of the TRIPOD+AI table, by item."""
    lines = [line for line in table.splitlines() if re.match(r"\| \d", line)]
    split = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {cells[0]: cells for cells in split}


def test_the_card_has_mitchells_sections_in_order_and_the_measured_figures() -> None:
    card = write_card(facts())
    assert tuple(re.findall("^## (.+)$", card, re.MULTILINE)) == SECTIONS
    for told in (
        "0.900 (0.890 to 0.910)", "3.0 times", "Gate refuses: bytes", "2 of 4 images are answered",
        "12.5 points are lost",
        "| lymphocyte | 5 | 2 | 2 |", "simulated laboratory: stain blue | 0.775 (0.755 to 0.795)", "Delta P 0.02",
    ):  # fmt: skip
        assert told in card
    assert card.count(LABORATORY) >= 4


def test_the_short_card_has_the_figures_and_the_gravest_limits_and_fits_into_mlflow() -> None:
    short = short_card(write_card(facts()))
    assert "macro sensitivity | 0.900" in short
    assert "12.5 points are lost" in short
    assert "## Model details" not in short
    assert len(short_card("x" * 10_000)) == LONGEST < 5000


def test_every_item_of_tripod_is_there_and_what_nobody_told_is_left_to_the_laboratory() -> None:
    found = rows(write_tripod(facts()))
    assert list(found) == [f"{item}{part}" for item in range(1, 28) for part in PARTS.get(item, "") or [""]]
    assert all(len(cells) == 3 and all(cells) for cells in found.values())
    assert all(LABORATORY in found[item][2] for item in UNKNOWN)
    assert "captured from 2026-01-01 to 2026-02-01" in found["5b"][2]
    assert "judged on images that earlier ones were judged on" in found["12a"][2]
    assert "10 train, 4 validation, 4 test" in found["21"][2]
    assert "macro sensitivity 0.900 (0.890 to 0.910)" in found["23a"][2]
    assert "temperature, 1.200" in found["24"][2]


def test_what_was_not_measured_is_said_in_the_cards_too() -> None:
    bare = facts_of(least(), (), ORIGIN)
    card, table = write_card(bare), write_tripod(bare)
    assert "Counts: not measured." in card
    assert "Macro sensitivity elsewhere: not measured." in card
    assert "Gate: not judged" in card
    assert "Dates: not measured." in rows(table)["5b"][2]


@given(name=st.text(min_size=1, max_size=12))
def test_a_class_of_any_name_breaks_no_row(name: str) -> None:
    scores = ({"label": name, "images": "2", "sensitivity": "0.5"},)
    odd = replace(whole(), classes=(name, "monocyte"), class_scores=scores)
    table = write_tripod(facts_of(odd, (), ORIGIN))
    assert len(rows(table)) == 52
    assert all(len(cells) == 3 for cells in rows(table).values())
