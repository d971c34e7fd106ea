"""What training minimises: cross-entropy, and the two penalties of S5.

Source: Kravchenko and Burlachenko 2024 (S5 in the comparison of published systems).
"""

from typing import Any

import keras

SMALLEST = 1e-7  # probability: its logarithm is taken


@keras.saving.register_keras_serializable(package="hemaloop")
class ConfidencePenalty(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy less k times the entropy of the answer: being sure costs.

    loss = -sum_y t(y) log p(y|x) - k H(p(y|x)),  H(p) = -sum_y p(y|x) log p(y|x)

    t is the label as one-hot (n, classes), smoothed where that is asked; p the answer (n, classes). k = 0 is plain
    cross-entropy. The mean over the batch is taken, each image weighted by its class.

    Source: Pereyra et al. 2017, "Regularizing Neural Networks by Penalizing Confident Output Distributions",
    arXiv:1701.06548, section 3 (its beta is S5's k).
    """

    def __init__(self, k: float, label_smoothing: float = 0.0, name: str = "confidence_penalty", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.k, self.label_smoothing = k, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Losses (n,) of targets and probabilities (n, classes)."""
        # Keras goes back to the logits of a softmax: the logarithm of a probability of 0 would teach nothing, and a
        # network that is surely wrong would stay so.
        wrong = keras.losses.categorical_crossentropy(y_true, y_pred, label_smoothing=self.label_smoothing)
        logs = keras.ops.log(keras.ops.clip(y_pred, SMALLEST, 1.0))
        return wrong + self.k * keras.ops.sum(y_pred * logs, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.k, "label_smoothing": self.label_smoothing}


def cross_entropy(label_smoothing: float, confidence_penalty: float) -> Any:
    """The keras.losses.Loss to train with; Keras's own where confidence costs nothing."""
    if confidence_penalty == 0:
        return keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing)
    return ConfidencePenalty(confidence_penalty, label_smoothing)


def penalise_weights(model: Any, coefficient: float) -> None:
    """Add `coefficient` |w|^2 to the loss: the squares of all kernels, but of no bias and no normalisation.

    objective = loss + p lambda |w|^2; the coefficient is p lambda, S5's p one of 1/3, 1/5, 1/7, 1/9 (it gives no
    lambda). Only kernels that are trained count. A saved model does not keep it.

    Source: Krogh and Hertz 1991, "A Simple Weight Decay Can Improve Generalization"; p as in S5.
    """
    if coefficient == 0:
        return
    for layer in model.layers:
        for weight in layer.weights:
            if "kernel" in weight.name:
                weight.regularizer = keras.regularizers.L2(coefficient)
