"""Where things lie in the bucket."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

from hemaloop.errors import DataError, HemaloopError

UPLOADS = "uploads/"
STRIPPED = "stripped/"  # copies of uploads without their private metadata
QUARANTINE = "quarantine/"
REPORTS = "reports/"
RELEASES = "releases/"
DOCS = "docs/"
DVC = "dvc"

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")

_UPLOAD = re.compile(
    r"uploads/(?P<device>[A-Za-z0-9][A-Za-z0-9_.-]{0,99})/"
    r"(?P<year>\d{4})/(?P<month>\d{2})/(?P<day>\d{2})/"
    r"(?P<capture>[A-Za-z0-9][A-Za-z0-9_.-]{0,199})(?P<suffix>\.jpg|\.jpeg|\.png)"
)


@dataclass(frozen=True)
class UploadKey:
    """uploads/<device>/<yyyy>/<mm>/<dd>/<capture>.jpg"""

    device: str
    day: date
    capture: str
    suffix: str = ".jpg"

    def __str__(self) -> str:
        return f"{UPLOADS}{self.device}/{self.day:%Y/%m/%d}/{self.capture}{self.suffix}"


def must_be_name(what: str, value: str, error: type[HemaloopError] = DataError) -> None:
    """Raises: `error`: the value of `what` (a device, a channel ...) is no name."""
    if not NAME.fullmatch(value):
        raise error(f"{what} {value!r}: wanted letters, digits, '_', '.' and '-', at most 100")


def parse_upload_key(key: str) -> UploadKey | None:
    """The parts of an upload's key, or None when it is not an image in its place."""
    match = _UPLOAD.fullmatch(key)
    if match is None:
        return None
    try:
        day = date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        return None
    return UploadKey(match["device"], day, match["capture"], match["suffix"])


def sidecar_key(image_key: str) -> str:
    """The key of the JSON beside an image: written after it, so it marks the upload complete."""
    return image_key.rsplit(".", 1)[0] + ".json"


def report_key(device: str, at: datetime) -> str:
    """reports/<device>/<yyyy>/<mm>/<dd>/<time in UTC, to the microsecond>.json"""
    return f"{REPORTS}{device}/{at.astimezone(UTC):%Y/%m/%d/%Y%m%dT%H%M%S.%fZ}.json"
