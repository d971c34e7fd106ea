"""The card inside a model file: what it needs to see and what its outputs mean.

As TFLite's own metadata does, a zip is appended to the flatbuffer: the file stays a valid .tflite.
"""

import io
import zipfile
from dataclasses import asdict, dataclass

from hemaloop.errors import DataError
from hemaloop.inference.preprocess import DEFAULT_STEPS, Preprocessing, StepSettings
from hemaloop.protocol.documents import decode, encode

_CARD = "hemaloop.json"
_LARGEST_CARD = 2**20  # bytes


@dataclass(frozen=True)
class ModelMetadata:
    classes: tuple[str, ...]  # in the order of the outputs
    size_px: int  # side of the square input
    steps: tuple[StepSettings, ...] = DEFAULT_STEPS  # from a decoded image to that input

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise DataError(f"model metadata: wanted classes, each once, got {self.classes}")
        if self.size_px < 1:
            raise DataError(f"model metadata: wanted a size of at least 1 px, got {self.size_px}")
        Preprocessing(self.steps, self.size_px)  # refuses steps that this code does not know

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(self.steps, self.size_px)


def _card(metadata: ModelMetadata) -> bytes:
    """Without the steps where they are the ones that every version knows: older devices run such a model too."""
    values = asdict(metadata)
    if metadata.steps == DEFAULT_STEPS:
        del values["steps"]
    return encode(values)


def attach(model: bytes, metadata: ModelMetadata) -> bytes:
    """The model with its card; the same input gives the same bytes.

    Raises:
        DataError: it carries one already.
    """
    if zipfile.is_zipfile(io.BytesIO(model)):
        raise DataError("model: it carries metadata already; attach to what the converter wrote")
    buffer = io.BytesIO(model)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_CARD, date_time=(1980, 1, 1, 0, 0, 0)), _card(metadata))
    return buffer.getvalue()


def read_metadata(model: bytes) -> ModelMetadata:
    """Raises: DataError: the model carries no card, or one that cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            if archive.getinfo(_CARD).file_size > _LARGEST_CARD:
                raise DataError("model metadata: larger than 1 MiB")
            return decode(archive.read(_CARD), ModelMetadata)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(
            f"model: no hemaloop metadata in it ({error}): use a model that `dvc repro` or a release made"
        ) from error
