"""What goes up in a demo: good slides through many hands, and everything that can be wrong with an image."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from hemaloop.demo.images import Slide, Source
from hemaloop.imaging import faults
from hemaloop.storage import Bucket
from hemaloop.uploading.item import Subject, describe
from hemaloop.uploading.sending import in_threads, prepare, send

BLURRED = "blurred"
# File name -> what is made of a good image.
SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "truncated": faults.truncate,
    "empty": lambda image: b"",
    "text": lambda image: b"This is no image, whatever its name says.\n" * 100,
    BLURRED: faults.blur,
    "dark": faults.darken,
    "over-exposed": faults.overexpose,
    "exact-duplicate": bytes,
    "near-duplicate": faults.reencode,
    "with-gps": faults.with_gps,
}


def upload_slides(bucket: Bucket, slides: tuple[Slide, ...], devices: tuple[str, ...]) -> int:
    """Upload labelled slides, the devices taking turns; how many images."""
    items = [
        describe(path, Subject(device, slide=slide.name), slide.label, "folder name")
        for slide, device in zip(slides, cycle(devices), strict=False)
        for path in slide.paths
    ]
    return len(list(in_threads(lambda item: send(bucket, prepare(item)), items)))


def upload_blurred(bucket: Bucket, spoiled: Path, device: str) -> int:
    """Our devices keep what is out of focus; this one image comes from a device that doesn't. How many images."""
    send(bucket, prepare(describe(spoiled / f"{BLURRED}.jpg", Subject(device))))
    return 1


def spoil(source: Source, folder: Path) -> list[Path]:
    """Each fault once, as a file; duplicates are of an image that is uploaded too."""
    folder.mkdir(parents=True)
    good = iter(source.camera[::-1])
    uploaded = iter(path for slide in source.rounds[0] for path in slide.paths)
    made = []
    for name, fault in SPOILED.items():
        original = next(uploaded) if name.endswith("duplicate") else next(good)
        path = folder / f"{name}.jpg"
        path.write_bytes(fault(original.read_bytes()))
        made.append(path)
    return made
