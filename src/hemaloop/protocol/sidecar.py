"""The JSON beside an uploaded image."""

from dataclasses import dataclass
from datetime import datetime

from hemaloop.errors import DataError
from hemaloop.protocol.keys import must_be_name


@dataclass(frozen=True)
class Sidecar:
    """What a device says of one image. Patient and slide are pseudonyms, never names."""

    sha256: str  # of the image's bytes, hexadecimal
    device: str
    captured_at: datetime
    slide: str | None = None
    patient: str | None = None
    stain: str | None = None
    um_per_px: float | None = None  # micrometres per pixel
    label: str | None = None
    labelled_by: str | None = None

    def __post_init__(self) -> None:
        for name in ("device", "slide", "patient"):
            value = getattr(self, name)
            if value is not None:
                must_be_name(f"sidecar: {name}", value)
        if self.um_per_px is not None and not 0 < self.um_per_px < 100:
            raise DataError(f"sidecar: um_per_px {self.um_per_px}: wanted micrometres per pixel, above 0, below 100")
