"""The sections of params.yaml that the model's stages read."""

from dataclasses import dataclass

from hemaloop.config import check

IMAGENET, RANDOM = "imagenet", "random"
REFUSE, REPORT = "refuse", "report"  # a leak between train and test
BLOCKS = 16  # of MobileNetV2, that expand


@dataclass(frozen=True)
class PrepareParams:
    size_px: int  # side of the square that the model sees

    def __post_init__(self) -> None:
        check(32 <= self.size_px <= 512, f"size_px: wanted 32 to 512, got {self.size_px}")


@dataclass(frozen=True)
class TrainParams:
    seed: int
    weights: str  # imagenet, random or a path
    alpha: float
    batch_images: int
    head_epochs: int
    head_learning_rate: float
    epochs: int  # of fine-tuning; 0 keeps the backbone as it is
    learning_rate: float
    first_block: int  # of those that are fine-tuned; 0 with the stem, 17 the last convolution alone
    dropout: float
    label_smoothing: float

    def __post_init__(self) -> None:
        check(self.seed >= 0, f"seed: wanted 0 or more, got {self.seed}")
        check(0.1 <= self.alpha <= 2, f"alpha: wanted 0.1 to 2, got {self.alpha}")
        check(1 <= self.batch_images <= 4096, f"batch_images: wanted 1 to 4096, got {self.batch_images}")
        check(self.head_epochs >= 1, f"head_epochs: wanted 1 or more, got {self.head_epochs}")
        check(self.epochs >= 0, f"epochs: wanted 0 or more, got {self.epochs}")
        check(0 <= self.first_block <= BLOCKS + 1, f"first_block: wanted 0 to {BLOCKS + 1}, got {self.first_block}")
        check(0 <= self.dropout < 1, f"dropout: wanted 0 up to 1, got {self.dropout}")
        check(0 <= self.label_smoothing < 1, f"label_smoothing: wanted 0 up to 1, got {self.label_smoothing}")
        for name in ("head_learning_rate", "learning_rate"):
            check(0 < getattr(self, name) <= 1, f"{name}: wanted above 0, at most 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class PruneParams:
    seed: int
    channels: float  # share of each block's expansion channels that goes; 0 removes none
    batch_images: int
    epochs: int
    learning_rate: float

    def __post_init__(self) -> None:
        check(self.seed >= 0, f"seed: wanted 0 or more, got {self.seed}")
        check(0 <= self.channels <= 0.9, f"channels: wanted 0 to 0.9, got {self.channels}")
        check(1 <= self.batch_images <= 4096, f"batch_images: wanted 1 to 4096, got {self.batch_images}")
        check(self.epochs >= 0, f"epochs: wanted 0 or more, got {self.epochs}")
        check(0 < self.learning_rate <= 1, f"learning_rate: wanted above 0, at most 1, got {self.learning_rate}")


@dataclass(frozen=True)
class QuantiseParams:
    calibration_images: int  # of the training side, at most

    def __post_init__(self) -> None:
        check(self.calibration_images >= 1, f"calibration_images: wanted 1 or more, got {self.calibration_images}")


@dataclass(frozen=True)
class EvaluateParams:
    seed: int
    bootstrap_rounds: int
    latency_runs: int
    leakage: str  # refuse or report
    examined_images: int  # of the test side, at most
    subgroup_images: int  # that a subgroup must have to be named the worst
    abstention_risk: float  # of the answers that are not left to a person

    def __post_init__(self) -> None:
        check(self.seed >= 0, f"seed: wanted 0 or more, got {self.seed}")
        check(self.bootstrap_rounds >= 100, f"bootstrap_rounds: wanted 100 or more, got {self.bootstrap_rounds}")
        check(self.latency_runs >= 5, f"latency_runs: wanted 5 or more, got {self.latency_runs}")
        check(self.leakage in (REFUSE, REPORT), f"leakage: wanted {REFUSE} or {REPORT}, got {self.leakage!r}")
        check(self.examined_images >= 1, f"examined_images: wanted 1 or more, got {self.examined_images}")
        check(self.subgroup_images >= 1, f"subgroup_images: wanted 1 or more, got {self.subgroup_images}")
        check(0 <= self.abstention_risk < 1, f"abstention_risk: wanted 0 up to 1, got {self.abstention_risk}")
