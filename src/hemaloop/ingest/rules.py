"""What refuses an upload, in order: the first rule that fails is its reason."""

from dataclasses import dataclass
from typing import Literal

from hemaloop.ingest.thresholds import Limits, Range, Thresholds, thresholds_for

__all__ = ["Judgement", "Limits", "Range", "Refusal", "Rule", "Thresholds", "rules", "thresholds_for"]


@dataclass(frozen=True)
class Rule:
    """One column of the table of measures, and what in it refuses an upload. A missing value refuses nothing."""

    reason: str
    column: str
    forbidden: tuple[str, ...] = ()
    threshold: str = ""  # the range of `Thresholds` that the column must keep to ...
    end: Literal["lowest", "highest"] = "lowest"  # ... at this end

    @property
    def name(self) -> str:
        return f"{self.reason} by {self.column}"

    @property
    def limit(self) -> str:
        """The column that says what each upload's own limit is."""
        return f"{self.threshold}_{self.end}"

    def explain(self, value: float, limits: Limits) -> str:
        """What was found, what was wanted, and which line of params.yaml wants it."""
        wanted = f"at least {limits.lowest:g}" if self.end == "lowest" else f"at most {limits.highest:g}"
        return f"{self.column} {value:.4g}, wanted {wanted} ({limits.source})"


@dataclass(frozen=True)
class Refusal:
    reason: str
    note: str = ""  # what was found, and what was wanted


@dataclass(frozen=True)
class Judgement:
    """What a round's table of measures was found to be."""

    refused: dict[int, Refusal]  # by upload
    suspect: tuple[str, ...] = ()  # what is wrong with the round as a whole; nothing: ()
    warnings: tuple[str, ...] = ()  # what somebody may want to know of it
    round: str = ""  # its name
    docs: str = ""  # of the page of its uploads, below docs/
    docs_of_devices: str = ""  # of the page of its devices


# Found while reading an upload, in the column `reading`; and by measuring it, in `problem`.
MISPLACED, VANISHED = "misplaced", "vanished"
SIDECAR_INVALID, SIDECAR_MISMATCH, LABEL_UNKNOWN = "sidecar_invalid", "sidecar_mismatch", "label_unknown"
CONSENT_WITHDRAWN = "consent_withdrawn"
TOO_LARGE = "too_large"
UNREADABLE = ("empty", "not_an_image", "truncated", "undecodable", "bomb", "animated", "polyglot")


def rules() -> tuple[Rule, ...]:
    """What cannot be read comes first, then what must not be kept, then what is not worth keeping."""
    return (
        *(Rule(reason, "reading", (reason,)) for reason in (MISPLACED, VANISHED, CONSENT_WITHDRAWN)),
        *(Rule(reason, "problem", (reason,)) for reason in UNREADABLE),
        Rule(TOO_LARGE, "problem", (TOO_LARGE,)),
        Rule(TOO_LARGE, "bytes", threshold="bytes", end="highest"),
        Rule(TOO_LARGE, "longer_side_px", threshold="sides_px", end="highest"),
        *(Rule(reason, "reading", (reason,)) for reason in (SIDECAR_INVALID, SIDECAR_MISMATCH, LABEL_UNKNOWN)),
        Rule("private_exif", "private", ("yes",)),
        Rule("too_small", "shorter_side_px", threshold="sides_px"),
        Rule("too_small", "bytes", threshold="bytes"),
        Rule("too_dark", "brightness", threshold="brightness"),
        Rule("too_bright", "brightness", threshold="brightness", end="highest"),
        Rule("clipped", "clipped", threshold="clipped"),
        Rule("clipped", "clipped", threshold="clipped", end="highest"),
        Rule("empty_field", "foreground", threshold="foreground"),
        Rule("no_background", "foreground", threshold="foreground", end="highest"),
        Rule("low_contrast", "contrast", threshold="contrast"),
        Rule("high_contrast", "contrast", threshold="contrast", end="highest"),
        Rule("out_of_focus", "focus", threshold="focus"),
        Rule("noisy", "focus", threshold="focus", end="highest"),
        Rule("colour_cast", "colour_cast", threshold="colour_cast", end="highest"),
        Rule("low_jpeg_quality", "jpeg_quality", threshold="jpeg_quality"),
        Rule("low_bit_depth", "bit_depth", threshold="bit_depth"),
    )
