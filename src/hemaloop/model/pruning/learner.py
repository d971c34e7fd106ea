"""A pruned network while it is trained again: its zeros stay zero, and the unpruned one may teach it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

SMALLEST = 1e-7  # probability: its logarithm is taken


@dataclass(frozen=True)
class Teacher:
    """The unpruned model, and how much its answers count."""

    model: Any  # keras.Model
    weight: float  # of its answers in the loss; the labels' is one less that
    temperature: float  # 1 leaves its answers as they are; higher ones show more of what it holds for second best


class Learner(keras.Model):  # type: ignore[misc]
    """Answers as `student` does and has its weights; trained, it changes nothing that is masked.

    With a teacher the loss is (1 - w) L + w T^2 KL(q_T || p_T): L is the loss that it was compiled with, q and p the
    teacher's and the student's answers, p_T = softmax(log p / T), which is softmax(z / T) of the logits z.

    Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531, section 2.
    """

    def __init__(
        self, student: Any, masks: Mapping[str, npt.NDArray[np.bool_]] | None = None, teacher: Teacher | None = None
    ) -> None:
        super().__init__(name="learner")
        self.student = student
        held = [
            (variable, keras.ops.cast(masks[variable.path], variable.dtype))
            for variable in (student.weights if masks else [])
            if masks and variable.path in masks
        ]
        # In functions Keras does not see them: what it saw would count as weights of this model.
        self.held: Callable[[], list[tuple[Any, Any]]] = lambda: held
        self.teacher: Callable[[], Teacher | None] = lambda: teacher

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.student(inputs, training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        teacher = self.teacher()
        if teacher is None or not training:
            return loss
        wanted = soften(teacher.model(x, training=False), teacher.temperature)
        found = soften(y_pred, teacher.temperature)
        divergence = keras.ops.sum(wanted * (keras.ops.log(wanted) - keras.ops.log(found)), axis=-1)
        if sample_weight is not None:
            divergence = divergence * keras.ops.cast(sample_weight, divergence.dtype)
        taught = teacher.temperature**2 * keras.ops.mean(divergence)
        return (1 - teacher.weight) * loss + teacher.weight * taught

    def train_step(self, data: Any) -> Any:
        figures = super().train_step(data)
        for variable, mask in self.held():
            variable.assign(variable * mask)
        return figures


def soften(probabilities: Any, temperature: float) -> Any:
    """softmax(z / T) from softmax(z), (n, classes)."""
    logits = keras.ops.log(keras.ops.maximum(probabilities, SMALLEST))
    return keras.ops.maximum(keras.ops.softmax(logits / temperature), SMALLEST)
