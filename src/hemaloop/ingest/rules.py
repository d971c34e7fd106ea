"""What refuses an upload, in order: the first rule that fails is its reason."""

from dataclasses import dataclass

from hemaloop.config import check

Range = tuple[float, ...]  # lowest and highest that are accepted


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
    refused_share: float

    def __post_init__(self) -> None:
        for name in ("sides_px", "bytes", "focus", "brightness", "clipped", "contrast", "foreground"):
            found = getattr(self, name)
            check(
                len(found) == 2 and 0 <= found[0] < found[1],
                f"{name} {list(found)}: wanted [lowest, highest], both 0 or more",
            )
        for name in ("clipped", "foreground"):
            check(getattr(self, name)[1] <= 1, f"{name} {list(getattr(self, name))}: wanted shares, 0 to 1")
        check(0 < self.refused_share <= 1, f"refused_share {self.refused_share}: wanted above 0, at most 1")


@dataclass(frozen=True)
class Rule:
    """One column of the table of measures, and what in it refuses an upload. A missing value refuses nothing."""

    reason: str
    column: str
    forbidden: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None

    def explain(self, value: object) -> str:
        """What was found, and what was wanted."""
        if self.forbidden:
            return ""
        wanted = [f"at least {self.lowest:g}"] if self.lowest is not None else []
        wanted += [f"at most {self.highest:g}"] if self.highest is not None else []
        return f"{self.column} {value:.4g}, wanted {' and '.join(wanted)}"


@dataclass(frozen=True)
class Refusal:
    reason: str
    note: str = ""  # what was found, and what was wanted


@dataclass(frozen=True)
class Judgement:
    """What a table of measures was found to be."""

    refused: dict[int, Refusal]  # by upload
    suspect: bool  # more were refused than `refused_share`
    docs: str = ""  # key of the page that shows it


# Found while reading an upload, in the column `reading`; and by measuring it, in `problem`.
MISPLACED, VANISHED = "misplaced", "vanished"
SIDECAR_INVALID, SIDECAR_MISMATCH, LABEL_UNKNOWN = "sidecar_invalid", "sidecar_mismatch", "label_unknown"
TOO_LARGE = "too_large"
UNREADABLE = ("empty", "not_an_image", "truncated", "undecodable")


def rules(thresholds: Thresholds) -> tuple[Rule, ...]:
    """What cannot be read comes first, then what must not be kept, then what is not worth keeping."""
    t = thresholds
    return (
        *(Rule(reason, "reading", (reason,)) for reason in (MISPLACED, VANISHED)),
        *(Rule(reason, "problem", (reason,)) for reason in UNREADABLE),
        Rule(TOO_LARGE, "problem", (TOO_LARGE,)),
        Rule(TOO_LARGE, "bytes", highest=t.bytes[1]),
        Rule(TOO_LARGE, "longer_side_px", highest=t.sides_px[1]),
        *(Rule(reason, "reading", (reason,)) for reason in (SIDECAR_INVALID, SIDECAR_MISMATCH, LABEL_UNKNOWN)),
        Rule("private_exif", "private_fields", highest=0),
        Rule("too_small", "shorter_side_px", lowest=t.sides_px[0]),
        Rule("too_small", "bytes", lowest=t.bytes[0]),
        Rule("too_dark", "brightness", lowest=t.brightness[0]),
        Rule("too_bright", "brightness", highest=t.brightness[1]),
        Rule("clipped", "clipped", lowest=t.clipped[0], highest=t.clipped[1]),
        Rule("empty_field", "foreground", lowest=t.foreground[0]),
        Rule("no_background", "foreground", highest=t.foreground[1]),
        Rule("low_contrast", "contrast", lowest=t.contrast[0]),
        Rule("high_contrast", "contrast", highest=t.contrast[1]),
        Rule("out_of_focus", "focus", lowest=t.focus[0]),
        Rule("noisy", "focus", highest=t.focus[1]),
    )
