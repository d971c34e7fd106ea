"""What happened in a demo, as a value, as JSON and as tables."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from rich.console import Console
from rich.table import Table

from hemaloop.files import write_atomically


@dataclass
class Images:
    source: str = ""
    uploaded: int = 0
    accepted: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)  # reason -> images
    duplicates: int = 0


@dataclass
class Revision:
    commit: str
    images: int  # of the whole dataset at that commit


@dataclass
class Model:
    version: int | None  # None: the gate refused
    float: dict[str, Any]  # bytes, macro_sensitivity, latency_ms of the float parent
    int8: dict[str, Any]  # the same of the shipped file
    gate: str
    approved_by: list[str] = field(default_factory=list)


@dataclass
class Device:
    id: str
    version: int | None = None
    self_test: str = "none"
    classified: int = 0
    refused_updates: int = 0


@dataclass
class Summary:
    """`.demo/summary.json`."""

    images: Images = field(default_factory=Images)
    revisions: list[Revision] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def timed(self, console: Console, step: str) -> Iterator[None]:
        """Show a step while it runs, and how long it took."""
        start = monotonic()
        with console.status(f"{step} ..."):
            yield
        self.seconds[step] = round(monotonic() - start, 1)
        console.print(f"[green]✓[/] {step} [dim]{self.seconds[step]:.1f} s[/]")

    def write(self, path: Path) -> None:
        write_atomically(path, json.dumps(dataclasses.asdict(self), indent=2).encode())


def show(console: Console, summary: Summary) -> None:
    """The closing tables."""
    console.print(_images(summary), _models(summary), _devices(summary), _pages(summary), sep="\n")


def _images(summary: Summary) -> Table:
    images = summary.images
    table = Table("uploaded", "accepted", "duplicates", "quarantined", title="Images", title_justify="left")
    refused = ", ".join(f"{reason} {count}" for reason, count in sorted(images.quarantined.items()))
    table.add_row(str(images.uploaded), str(images.accepted), str(images.duplicates), refused)
    return table


def _models(summary: Summary) -> Table:
    table = Table(
        "version", "revision", "images", "float", "int8", "size", "latency", "gate", "approved by",
        title="Models (macro sensitivity on test images; the shipped file is the int8 one)", title_justify="left",
    )  # fmt: skip
    for model, revision in zip(summary.models, summary.revisions, strict=False):
        table.add_row(
            str(model.version),
            revision.commit[:10],
            str(revision.images),
            _share(model.float["macro_sensitivity"]),
            _share(model.int8["macro_sensitivity"]),
            f"{model.float['bytes'] // 1000} -> {model.int8['bytes'] // 1000} kB",
            f"{model.float['latency_ms']:.1f} -> {model.int8['latency_ms']:.1f} ms",
            model.gate,
            ", ".join(model.approved_by),
        )
    return table


def _devices(summary: Summary) -> Table:
    table = Table(
        "device", "runs version", "self-test", "classified", "refused updates", title="Devices", title_justify="left"
    )
    for device in summary.devices:
        table.add_row(
            device.id, str(device.version), device.self_test, str(device.classified), str(device.refused_updates)
        )
    return table


def _pages(summary: Summary) -> Table:
    table = Table("page", "address", title="Where to look (start the servers again: make pages)", title_justify="left")
    for name, url in summary.pages.items():
        table.add_row(name, url)
    return table


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
