"""The shipped .tflite as an MLflow model. MLflow has no flavour for TFLite, so it is a pyfunc."""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd

from hemaloop.inference.classifier import Classifier

IMAGE = "image"  # the one input column: an encoded JPEG or PNG, as a device would upload it


class ShippedClassifier(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Encoded images in; label and probability of each class out. The same code as on the device."""

    def load_context(self, context: Any) -> None:
        self._classifier = Classifier(Path(context.artifacts["model"]).read_bytes())

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Column `image` (bytes) -> columns `label` and one `p_<class>` a class.

        Raises: DataError: an image cannot be decoded.
        """
        answers = [self._classifier.classify(bytes(image)) for image in model_input[IMAGE]]
        return pd.DataFrame(
            [
                {"label": answer.label} | {f"p_{name}": share for name, share in answer.probabilities.items()}
                for answer in answers
            ]
        )
