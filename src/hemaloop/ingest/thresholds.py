"""Which range of a measure is accepted, in general and of one device or stain."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hemaloop.config import check

Range = tuple[float, ...]  # lowest and highest that are accepted

RANGES = (
    "sides_px",
    "bytes",
    "focus",
    "brightness",
    "clipped",
    "contrast",
    "foreground",
    "colour_cast",
    "jpeg_quality",
    "bit_depth",
)
# Known only of what could be decoded.
QUALITIES = ("focus", "brightness", "contrast", "clipped", "foreground", "colour_cast")
_SHARES = ("clipped", "foreground")


@dataclass(frozen=True)
class Limits:
    """The range that applies to one upload, and the line of params.yaml that it comes from."""

    lowest: float
    highest: float
    source: str


@dataclass(frozen=True)
class Overrides:
    """Ranges of single devices, by id, and of stains, by name: range by measure."""

    devices: dict[str, dict[str, Range]] = field(default_factory=dict)
    stains: dict[str, dict[str, Range]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, named in (("devices", self.devices), ("stains", self.stains)):
            for name, ranges in named.items():
                for measure, found in ranges.items():
                    where = f"overrides.{kind}.{name}.{measure}"
                    check(measure in RANGES, f"{where}: wanted one of {', '.join(RANGES)}")
                    check_range(measure, found, where)


@dataclass(frozen=True)
class Thresholds:
    """Section `validate` of params.yaml. Ranges are [lowest, highest] accepted."""

    sides_px: tuple[int, ...]
    bytes: tuple[int, ...]
    focus: Range
    brightness: Range
    clipped: Range
    contrast: Range
    foreground: Range
    colour_cast: Range
    jpeg_quality: tuple[int, ...]
    bit_depth: tuple[int, ...]
    refused_share: float
    drift: float
    class_balance: float
    window_images: int
    reference_images: int
    overrides: Overrides = field(default_factory=Overrides)

    def __post_init__(self) -> None:
        for name in RANGES:
            check_range(name, getattr(self, name), name)
        for name in ("refused_share", "drift", "class_balance"):
            check(0 < getattr(self, name) <= 1, f"{name} {getattr(self, name)}: wanted above 0, at most 1")
        for name in ("window_images", "reference_images"):
            check(getattr(self, name) >= 1, f"{name} {getattr(self, name)}: wanted 1 or more")

    @property
    def largest_bytes(self) -> int:
        """Nothing larger is read at all, whoever sent it."""
        named = (*self.overrides.devices.values(), *self.overrides.stains.values())
        return max(self.bytes[1], *(int(ranges["bytes"][1]) for ranges in named if "bytes" in ranges), 0)


def check_range(measure: str, found: Range, where: str) -> None:
    """Raises: ValueError: it is no range of that measure."""
    check(
        len(found) == 2 and 0 <= found[0] < found[1], f"{where} {list(found)}: wanted [lowest, highest], both 0 or more"
    )
    check(measure not in _SHARES or found[1] <= 1, f"{where} {list(found)}: wanted shares, 0 to 1")


def thresholds_for(thresholds: Thresholds, device: str | None, stain: str | None) -> dict[str, Limits]:
    """The limits of one upload, by measure: its device's own, else its stain's, else the general ones.

    Stains are compared without regard to case, since people type them.
    """
    found = {name: Limits(*_ends(getattr(thresholds, name)), f"validate.{name}") for name in RANGES}
    stains = {name.casefold(): ranges for name, ranges in thresholds.overrides.stains.items()}
    found |= _named("stains", stain, stains.get((stain or "").casefold(), {}))
    return found | _named("devices", device, thresholds.overrides.devices.get(device or "", {}))


def _named(kind: str, name: str | None, ranges: Mapping[str, Range]) -> dict[str, Limits]:
    return {
        measure: Limits(*_ends(found), f"validate.overrides.{kind}.{name}.{measure}")
        for measure, found in ranges.items()
    }


def _ends(found: Range) -> tuple[float, float]:
    return found[0], found[1]
