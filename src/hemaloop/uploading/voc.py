"""PASCAL VOC annotations: each box becomes an image of its own."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from hemaloop.errors import DataError
from hemaloop.imaging.boxes import Box
from hemaloop.imaging.container import read_container
from hemaloop.uploading.item import Item, Labels, Plan, Problems, Subject, describe, image_files, name_of

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class _Field:
    """An annotated image."""

    path: Path
    width: int  # pixels
    height: int


def plan_voc(folder: Path, subject: Subject, labels: Labels, margin: float) -> Plan:
    """The boxes of every annotation below a folder, with a margin around each.

    Args:
        margin: on each side, as a share of the box's longer side; what lies outside the image is left out.

    The slide is the annotated image, unless the subject says another: cells of one image stay together.

    Raises: DataError: there are no annotations, or no images.
    """
    images: dict[str, list[Path]] = {}
    for path in image_files(folder):
        images.setdefault(path.stem, []).append(path)
    annotations = sorted(path for path in folder.rglob("*.xml") if path.is_file())
    if not annotations:
        raise DataError(f"{folder} has no annotations (*.xml)")
    items: list[Item] = []
    problems = Problems()
    left_out = 0
    for annotation in annotations:
        with problems.at(str(annotation)):
            root = _parse(annotation)
            field = _field(annotation, root, images)
            slide = subject.slide or name_of(field.path) or None
            said = describe(field.path, replace(subject, slide=slide)).said
            said = replace(said, labelled_by=subject.labelled_by or "annotation")
            for number, element in enumerate(root.findall("object"), start=1):
                with problems.at(f"{annotation}, box {number}"):
                    if label := labels.translate((element.findtext("name") or "").strip()):
                        box = widened(_box(element, field), margin, field.width, field.height)
                        items.append(Item(field.path, replace(said, label=label), box))
                    else:
                        left_out += 1
    return Plan(tuple(items), problems.lines(), left_out)


def read_boxes(annotation: Path, name: str, width: int, height: int) -> tuple[tuple[Box, ...], tuple[str, ...]]:
    """The boxes of one name in an annotation of an image of this size, px; and what is wrong with those left out.

    Raises: DataError: it is no VOC annotation.
    """
    field, problems = _Field(annotation, width, height), Problems()
    boxes: list[Box] = []
    for number, element in enumerate(_parse(annotation).findall("object"), start=1):
        if (element.findtext("name") or "").strip() == name:
            with problems.at(f"{annotation}, box {number}"):
                boxes.append(_box(element, field))
    return tuple(boxes), problems.lines()


def widened(box: Box, margin: float, width: int, height: int) -> Box:
    """A box with a margin of that share of its longer side, as far as the image reaches."""
    more = math.floor(margin * max(box.right - box.left, box.bottom - box.top) + 0.5)
    return Box(
        max(0, box.left - more), max(0, box.top - more), min(width, box.right + more), min(height, box.bottom + more)
    )


def _box(element: Element, field: _Field) -> Box:
    """VOC counts pixels from 1 and some tools from 0: corners are taken as they stand, one pixel being no matter."""
    corners = [_corner(element, name) for name in CORNERS]
    left, top, right, bottom = corners
    if not (0 <= left < right <= field.width and 0 <= top < bottom <= field.height):
        raise DataError(
            f"({', '.join(map(str, corners))}): wanted xmin < xmax <= {field.width} and ymin < ymax <= {field.height}"
        )
    return Box(left, top, right, bottom)


def _corner(element: Element, name: str) -> int:
    text = element.findtext(f"bndbox/{name}") or ""
    try:
        return round(float(text))
    except (ValueError, OverflowError):
        raise DataError(f"{name} {text!r}: wanted a number of pixels") from None


def _field(annotation: Path, root: Element, images: dict[str, list[Path]]) -> _Field:
    """The image that an annotation is about: by the name that it says, else by its own."""
    said = (root.findtext("filename") or "").strip()
    found = images.get(Path(said).stem, []) or images.get(annotation.stem, [])
    if len(found) != 1:
        raise DataError(f"its image {said or annotation.stem!r} is {'there more than once' if found else 'not there'}")
    container = read_container(found[0].read_bytes())
    if container.problem:
        raise DataError(f"its image {found[0]} cannot be read ({container.problem})")
    return _Field(found[0], container.width, container.height)


def _parse(annotation: Path) -> Element:
    """Without entities: an annotation comes from outside."""
    import defusedxml.ElementTree as Xml
    from defusedxml.common import DefusedXmlException

    try:
        root: Element = Xml.fromstring(annotation.read_bytes())
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise DataError(f"no XML that can be trusted: {error}") from error
    if root.tag != "annotation":
        raise DataError(f"no VOC annotation: wanted <annotation>, got <{root.tag}>")
    return root
