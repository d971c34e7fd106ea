"""One JSON line per classified file: what `classify --json` prints, on a device and elsewhere."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hemaloop.errors import DataError
from hemaloop.inference.classifier import Classifier
from hemaloop.protocol.keys import IMAGE_SUFFIXES


def image_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are given; of a folder, the images in it, in order."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        else:
            yield path


def answer_line(path: Path, classifier: Classifier, model: str, um_per_px: float | None = None) -> dict[str, Any]:
    """{"path", "label", "probabilities": {class: p}, "model", "latency_ms"}, or {"path", "error"}.

    `um_per_px`: micrometres per pixel of the image, where known.
    """
    try:
        answer = classifier.classify(path.read_bytes(), um_per_px)
    except OSError as error:
        return {"path": str(path), "error": f"cannot be read: {error.strerror}"}
    except DataError as error:
        return {"path": str(path), "error": str(error)}
    return {
        "path": str(path),
        "label": answer.label,
        "probabilities": {label: round(float(p), 6) for label, p in answer.probabilities.items()},
        "model": model,
        "latency_ms": round(answer.latency_ms, 3),
    }


def text_line(line: dict[str, Any]) -> str:
    """The same for a person."""
    if "error" in line:
        return f"{line['path']}: {line['error']}"
    return f"{line['path']}: {line['label']} ({line['probabilities'][line['label']]:.1%}, {line['latency_ms']:.1f} ms)"
