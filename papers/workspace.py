"""A folder in which the stages run: params.yaml, data/manifest.csv and a link to the images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hemaloop.dataset.manifest import ManifestRow
from hemaloop.dataset.records import SIDES, TEST, to_csv
from hemaloop.files import write_atomically
from papers.images import data_folder, digest_of, read_images
from papers.protocols import (
    HONEST,
    PAPER,
    Placed,
    check_frozen,
    check_protocol,
    digest_of_tested,
    held_out_blocks,
    place_at_random,
    place_by_blocks,
    thin,
)  # fmt: skip
from papers.systems import Form, System, Systems

LINK = Path("data/images")
# Nobody knows when these images were taken.
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Drawn:
    """The images of a run, as its result tells of them."""

    placed: tuple[Placed, ...]
    images_digest: str
    tested_digest: str  # of the whole data set's test side, before classes were chosen

    def counts(self) -> dict[str, int]:
        found = Counter(each.side for each in self.placed)
        groups = len({each.group for each in self.placed if each.side == TEST})
        return {side: found[side] for side in SIDES} | {"excluded": found["excluded"], "test_groups": groups}


def draw_sides(
    systems: Systems, system: System, form: Form, protocol: str, params: Mapping[str, Any], index: Path
) -> Drawn:
    """Every image of the data set gets its side; then those of the system's classes are taken."""
    check_protocol(protocol)
    images = read_images(data_folder(system.images), index)
    folders = {folder for names in system.classes.values() for folder in names}
    if protocol == PAPER:
        chosen = [image for image in images if image.folder in folders]
        placed = place_at_random(chosen, system.split, params["split"]["seed"])
    else:
        common, bits = systems.common_numbers[system.images], params["ingest"]["near_duplicate_bits"]
        placed = place_by_blocks(images, held_out_blocks(protocol), common, bits)
    digest, tested = digest_of(images), digest_of_tested(placed)
    if protocol == HONEST:
        check_frozen(digest, tested)
    placed = tuple(each for each in placed if each.image.folder in folders)
    return Drawn(thin(placed, form.images) if form.images else placed, digest, tested)


def write_workspace(folder: Path, system: System, drawn: Drawn, params: Mapping[str, Any]) -> None:
    """What the stages read; the images themselves are linked, never copied."""
    link = folder / LINK
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(data_folder(system.images))
    write_atomically(folder / "params.yaml", yaml.safe_dump(dict(params), sort_keys=False).encode())
    write_atomically(folder / "data" / "manifest.csv", to_csv(_rows(system, drawn.placed), ManifestRow))
    (folder / "models").mkdir(exist_ok=True)
    (folder / "evaluation").mkdir(exist_ok=True)


def _rows(system: System, placed: Sequence[Placed]) -> list[ManifestRow]:
    label = {folder: name for name, folders in system.classes.items() for folder in folders}
    return [
        ManifestRow(
            image=(LINK / each.image.path).as_posix(), sha256=each.image.sha256, label=label[each.image.folder],
            group=each.group, side=each.side, device=system.images, slide=None, patient=None, stain=None,
            um_per_px=None, captured_at=_UNKNOWN, batch="", upload=each.image.path,
        )
        for each in placed
    ]  # fmt: skip
