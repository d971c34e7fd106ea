"""Parameters of a training that takes seconds."""

from hemaloop.model.parameters import TrainParams
from hemaloop.model.prepared import Statistics

PARAMS = TrainParams(
    seed=7, weights="random", alpha=0.35, batch_images=8, head_epochs=3, head_learning_rate=0.01,
    epochs=2, learning_rate=0.0003, first_block=14, dropout=0.2, label_smoothing=0.05,
)  # fmt: skip
STATISTICS = Statistics("mean_std", (200.0, 150.0, 180.0), (30.0, 60.0, 20.0))
