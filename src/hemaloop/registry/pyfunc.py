"""The shipped .tflite as an MLflow model. MLflow has no flavour for TFLite, so it is a pyfunc."""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd

from hemaloop.inference.classifier import Classifier

IMAGE = "image"  # input column: an encoded JPEG or PNG, as a device would upload it
UM_PER_PX = "um_per_px"  # input column that may be left out, or empty: the image's micrometres per pixel, where known


class ShippedClassifier(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Encoded images in; label and probability of each class out. The same code as on the device."""

    def load_context(self, context: Any) -> None:
        self._classifier = Classifier(Path(context.artifacts["model"]).read_bytes())

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Columns `image` (bytes) and, where known, `um_per_px` -> columns `label` and one `p_<class>` a class.

        Raises: DataError: an image cannot be decoded, or um_per_px is no scale.
        """
        answers = [
            self._classifier.classify(bytes(image), None if pd.isna(um_per_px) else float(um_per_px))
            for image, um_per_px in zip(model_input[IMAGE], _scales(model_input), strict=True)
        ]
        return pd.DataFrame(
            [
                {"label": answer.label} | {f"p_{name}": share for name, share in answer.probabilities.items()}
                for answer in answers
            ]
        )


def _scales(model_input: pd.DataFrame) -> "pd.Series[Any]":
    return model_input.get(UM_PER_PX, pd.Series(None, model_input.index, float))
