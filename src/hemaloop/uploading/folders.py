"""Images in folders: with labels, where each lies in a folder named after its class, or without."""

from pathlib import Path

from hemaloop.uploading.item import Item, Labels, Plan, Problems, Subject, describe, image_files


def plan_unlabelled(folder: Path, subject: Subject) -> Plan:
    """Every image below a folder. Raises: DataError: there is none."""
    return Plan(tuple(describe(path, subject) for path in image_files(folder)))


def plan_folders(folder: Path, subject: Subject, labels: Labels) -> Plan:
    """Every image below a folder, labelled by the name of the folder that it lies in.

    Raises: DataError: there is none.
    """
    found: dict[str, list[Path]] = {}
    for path in image_files(folder):
        found.setdefault(path.parent.name, []).append(path)
    items: list[Item] = []
    problems = Problems()
    left_out = 0
    for name, paths in found.items():
        with problems.at(f"{paths[0].parent} ({len(paths)} images)"):
            if label := labels.translate(name):
                items += (describe(path, subject, label, "folder name") for path in paths)
            else:
                left_out += len(paths)
    return Plan(tuple(items), problems.lines(), left_out)
