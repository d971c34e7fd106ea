"""What a run of ingest shows of refused uploads: pictures, bounded, and no markup that others wrote."""

from hypothesis import given
from hypothesis import strategies as st

from flows.ingest_artifacts import SHOWN, markdown
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.rules import Judgement, Refusal

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "a | b",
    "![](http://example.org/spy.png)",
    "`x`",
    "[a](javascript:1)",
    "\n# h",
)


def table(measured: list[Measured], notes: list[str], small: dict[int, bytes]) -> list[str]:
    refused = {found.upload: Refusal("label_unknown", note) for found, note in zip(measured, notes, strict=True)}
    judged = Judgement(refused, ("pi-1: too much",), (), "r1", "validations/u.html", "validations/d.html")
    return markdown("http://docs", measured, judged, measured[:SHOWN], small).splitlines()


@given(text=st.one_of(st.sampled_from(HOSTILE), st.text()))
def test_what_others_wrote_stays_text(text: str) -> None:
    lines = table([Measured(1, f"uploads/{text}", 3)], [text], {})
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 3
    assert (rows[2].count("|"), rows[2].count("<"), rows[2].count("<br>")) == (3, 2, 2)
    assert not any(mark in rows[2] for mark in ("](", "`", "\n"))


def test_pictures_are_in_the_page_and_the_rest_is_counted() -> None:
    measured = [Measured(number, f"uploads/pi-1/{number}.jpg", 3) for number in range(SHOWN + 7)]
    lines = table(measured, ["why"] * len(measured), {0: b"jpeg"})
    assert lines[0] == "# 47 of 47 uploads refused"
    assert "**Suspect**: pi-1: too much" in lines
    assert "Data Docs: [uploads](http://docs/validations/u.html), [devices](http://docs/validations/d.html)" in lines
    rows = [line for line in lines if line.startswith("| ") and "uploads/pi-1" in line]
    assert len(rows) == SHOWN
    assert rows[0] == "| ![](data:image/jpeg;base64,anBlZw==) | **label_unknown**<br>why<br>uploads/pi-1/0.jpg |"
    assert "no picture" in rows[1]
    assert lines[-1] == "and 7 more: `hemaloop quarantine list`"
