"""Class folders, CSV and VOC: what each image is said to be, and every reason not to send it, all at once."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled import CLASSES, annotation, box, image, write

from hemaloop.errors import DataError
from hemaloop.imaging.boxes import Box
from hemaloop.uploading.folders import plan_folders
from hemaloop.uploading.item import Labels, Subject
from hemaloop.uploading.table import plan_table
from hemaloop.uploading.voc import plan_voc, widened

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
SUBJECT = Subject("pi-1", captured_at=AT)
LABELS = Labels(CLASSES, {"WBC": "neutrophil", "RBC": ""})


def test_folders_are_labels_and_unknown_ones_are_said_together(tmp_path: Path) -> None:
    for name in ("neutrophil/1.jpg", "neutrophil/2.png", "x/monocyte/3.JPEG", "WBC/4.jpg", "RBC/5.jpg"):
        write(tmp_path / name, b"x")
    plan = plan_folders(tmp_path, SUBJECT, LABELS)
    assert [(item.path.name, item.said.label) for item in plan.items] == [
        ("4.jpg", "neutrophil"),
        ("1.jpg", "neutrophil"),
        ("2.png", "neutrophil"),
        ("3.JPEG", "monocyte"),
    ]
    assert (plan.left_out, plan.problems) == (1, ())
    assert {item.said.labelled_by for item in plan.items} == {"folder name"}
    for name in ("blast/1.jpg", "blast/2.jpg", "smudge/1.jpg"):
        write(tmp_path / name, b"x")
    blast, smudge = plan_folders(tmp_path, SUBJECT, LABELS).problems
    assert "blast (2 images): label 'blast' is no class" in blast
    assert "--map 'smudge='" in smudge


def test_a_line_says_more_than_the_subject_does(tmp_path: Path) -> None:
    for name in ("a.jpg", "deep/b.jpg", "c.jpg"):
        write(tmp_path / name, b"x")
    table = write(
        tmp_path / "cells.csv",
        "\ufefffile, label ,patient,slide,device,stain,um_per_px,captured_at,labelled_by\r\n"
        "a.jpg,WBC,p-1,s-1,pi-2,giemsa,0.25,2026-02-01T10:00:00+01:00,ana\r\n"
        "deep/b.jpg,monocyte,,,,,,,\r\n"
        "c.jpg,RBC,,,,,,,\r\n".encode(),
    )
    plan = plan_table(table, tmp_path, Subject("pi-1", patient="p-0", captured_at=AT), LABELS)
    assert (plan.problems, plan.left_out) == ((), 1)
    first, second = (item.said for item in plan.items)
    assert (first.label, first.patient, first.slide, first.device) == ("neutrophil", "p-1", "s-1", "pi-2")
    assert (first.stain, first.um_per_px, first.labelled_by) == ("giemsa", 0.25, "ana")
    assert first.captured_at == datetime(2026, 2, 1, 9, tzinfo=UTC)
    assert (second.label, second.patient, second.device, second.captured_at) == ("monocyte", "p-0", "pi-1", AT)
    assert second.labelled_by == "cells.csv"


def test_all_that_is_wrong_with_a_table_is_said_with_its_lines(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg", "notes.txt"):
        write(tmp_path / "in" / name, b"x")
    write(tmp_path / "out.jpg", b"x")
    wrong = [
        ("none.jpg,monocyte,,", "line 2: file 'none.jpg' is not in"),
        ("../out.jpg,monocyte,,", "line 3: file '../out.jpg': wanted a path below"),
        ("notes.txt,monocyte,,", "line 4: file 'notes.txt': wanted one of .jpg"),
        ("b.jpg,,,", "line 5: label is empty"),
        ("c.jpg,blast,,", "line 6 and 1 more: label 'blast' is no class"),
        ("d.jpg,blast,,", "line 6 and 1 more: label 'blast' is no class"),
        ("e.jpg,monocyte,one,", "line 8: um_per_px 'one'"),
        ("f.jpg,monocyte,-1,", "line 9: sidecar: um_per_px -1.0"),
        ("a.jpg,monocyte,,2026-01-31", "line 10: captured_at '2026-01-31': wanted an ISO 8601 time with its zone"),
        ("a.jpg,monocyte,,", "line 11: a.jpg is named in line 10 already"),
        ("a.jpg,monocyte,", "line 12: wanted 4 values"),
        ("a.jpg,monocyte,,,,", "line 13: wanted 4 values"),
    ]
    table = write(tmp_path / "t.csv", "\n".join(["file,label,um_per_px,captured_at", *dict(wrong)]).encode())
    problems = plan_table(table, tmp_path / "in", SUBJECT, LABELS).problems
    assert len(problems) == len(wrong) - 1
    for _, told in wrong:
        assert any(told in problem for problem in problems), (told, problems)


def test_a_table_must_say_the_device_where_the_command_does_not(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", b"x")
    table = write(tmp_path / "t.csv", b"file,label\na.jpg,monocyte\n")
    (problem,) = plan_table(table, tmp_path, Subject(""), LABELS).problems
    assert problem.endswith("line 2: no device: say it in a column, or with --device")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "got none"),
        (b"file,lable\n", "got file, lable"),
        (b"file,label,label\n", "each once"),
        (b'file,label\n"a.jpg,monocyte\n', "no CSV file"),
        (b"file,label\n\xff\xfe,monocyte\n", "no CSV file in UTF-8"),
    ],
)
def test_what_is_no_such_table_is_said(tmp_path: Path, text: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told):
        plan_table(write(tmp_path / "t.csv", text), tmp_path, SUBJECT, LABELS)


def test_each_box_is_a_cell_with_a_margin_and_one_image_is_one_slide(tmp_path: Path) -> None:
    data = image(1)
    write(tmp_path / "images/field 1.jpg", data)
    write(
        tmp_path / "annotations/field 1.xml",
        annotation(
            "field 1.jpg", [box("WBC", 10, 20, 50, 40), box("RBC", 9, 9, 1, 1), box("monocyte", 0, 0.4, 20, 20)]
        ),
    )
    plan = plan_voc(tmp_path, SUBJECT, LABELS, margin=0.1)
    assert (plan.problems, plan.left_out) == ((), 1)
    assert [(item.cut, item.said.label) for item in plan.items] == [
        (Box(6, 16, 54, 44), "neutrophil"),
        (Box(0, 0, 22, 22), "monocyte"),
    ]
    assert {(item.said.slide, item.said.labelled_by) for item in plan.items} == {("field_1", "annotation")}
    named = plan_voc(tmp_path, Subject("pi-1", slide="s-1", labelled_by="ana"), LABELS, 0).items
    assert {(item.said.slide, item.said.labelled_by) for item in named} == {("s-1", "ana")}


def test_all_that_is_wrong_with_annotations_is_said(tmp_path: Path) -> None:
    for name in ("a.jpg", "x/twice.jpg", "y/twice.jpg"):
        write(tmp_path / name, image(1))
    write(tmp_path / "broken.jpg", b"text")
    boxes = [
        box("WBC", 5, 5, 5, 9), box("WBC", 5, 5, 9000, 9), box("WBC", -3, 5, 9, 9), box("WBC", "nan", 5, 9, 9),
        box("WBC", 1, 1, 9, ""), box("PLT", 1, 1, 9, 9), box("PLT", 1, 1, 9, 9),
    ]  # fmt: skip
    lol = b'<!DOCTYPE a [<!ENTITY b "cc">]><annotation><filename>&b;</filename></annotation>'
    files = {
        "a.xml": annotation("a.jpg", boxes),
        "broken.xml": annotation("broken.jpg", []),
        "lol.xml": lol,
        "missing.xml": annotation("none.jpg", []),
        "other.xml": b"<svg/>",
        "torn.xml": b"<annotation>",
        "twice.xml": annotation("twice.jpg", []),
    }
    for name, data in files.items():
        write(tmp_path / name, data)
    problems = "\n".join(plan_voc(tmp_path, SUBJECT, LABELS, 0.1).problems)
    for told in (
        "a.xml, box 1: (5, 5, 5, 9): wanted xmin < xmax", "box 2: (5, 5, 9000, 9)", "box 3: (-3", "box 4: xmin 'nan'",
        "box 5: ymax ''", "box 6 and 1 more: label 'PLT'", "broken.jpg cannot be read", "lol.xml: no XML that can",
        "'none.jpg' is not there", "got <svg>", "torn.xml: no XML", "'twice.jpg' is there more than once",
    ):  # fmt: skip
        assert told in problems, told


@given(st.data(), st.floats(0, 1))
def test_a_margin_never_leaves_the_image_nor_cuts_the_box(data: st.DataObject, margin: float) -> None:
    width, height = data.draw(st.integers(2, 500)), data.draw(st.integers(2, 500))
    left, top = data.draw(st.integers(0, width - 2)), data.draw(st.integers(0, height - 2))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    cut = widened(Box(left, top, right, bottom), margin, width, height)
    assert 0 <= cut.left <= left < right <= cut.right <= width
    assert 0 <= cut.top <= top < bottom <= cut.bottom <= height
