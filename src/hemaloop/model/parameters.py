"""The sections of params.yaml that the model's stages read."""

from dataclasses import dataclass

from hemaloop.config import check

IMAGENET, RANDOM = "imagenet", "random"
REFUSE, REPORT = "refuse", "report"  # a leak between train and test
BLOCKS = 16  # of MobileNetV2, that expand
MOBILENETV2, EFFICIENTNETB0, NASNETMOBILE = TRANSFERRED = "mobilenetv2", "efficientnetb0", "nasnetmobile"
WBC_CNN, ROW_RNN, BASELINE_CNN = FROM_SCRATCH = "wbc_cnn", "row_rnn", "baseline_cnn"
SCHEDULES = COSINE, PLATEAU, CONSTANT = "cosine", "plateau", "constant"
PRECISIONS = FLOAT32, MIXED_FLOAT16, MIXED_BFLOAT16 = "float32", "mixed_float16", "mixed_bfloat16"
DEVICES = ONE, ALL = "one", "all"
PRUNING = CHANNELS, MAGNITUDE, NO_PRUNING = "channels", "magnitude", "none"
RANKINGS = UNIT, NETWORK = "unit", "network"
FORMS = INT8, INT16X8, FLOAT16 = "int8", "int16x8", "float16"


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
    network: str = MOBILENETV2
    dense_units: int = 0  # of a dense layer before the last one; 0 for none
    patience: int = 0  # epochs without a better validation loss before a phase ends; 0 goes on to the last
    schedule: str = COSINE
    precision: str = FLOAT32
    devices: str = ONE
    l2: float = 0.0  # p lambda of the penalty on kernels
    batch_norm: bool = False  # whether batch normalisation learns too; from random weights it always does
    confidence_penalty: float = 0.0  # k of the penalty on answers that are too sure

    def __post_init__(self) -> None:
        self._check_choices()
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
        for name in ("dense_units", "patience", "l2", "confidence_penalty"):
            check(getattr(self, name) >= 0, f"{name}: wanted 0 or more, got {getattr(self, name)}")

    def _check_choices(self) -> None:
        known = {
            "network": TRANSFERRED + FROM_SCRATCH,
            "schedule": SCHEDULES,
            "precision": PRECISIONS,
            "devices": DEVICES,
        }
        for name, choices in known.items():
            check(getattr(self, name) in choices, f"{name}: wanted {' | '.join(choices)}, got {getattr(self, name)!r}")
        check(
            self.network in TRANSFERRED or self.weights == RANDOM,
            f"weights: there are none for {self.network}: set {RANDOM!r}",
        )


@dataclass(frozen=True)
class PruneParams:
    seed: int
    method: str  # channels, magnitude or none
    channels: float  # share of each unit's channels that goes; 0 removes none
    last_channels: float  # share of the channels that the last layer sees
    ranking: str  # unit: the same share of each; network: all together
    keep_blocks: tuple[int, ...]  # left whole; 0 is the stem with the first block
    sparsity: float  # of magnitude: share of the weights that is set to zero
    distillation: float  # weight of the unpruned model's answers in the loss; 0: the labels alone
    temperature: float  # of the distillation
    batch_images: int
    epochs: int
    learning_rate: float

    def __post_init__(self) -> None:
        check(self.seed >= 0, f"seed: wanted 0 or more, got {self.seed}")
        check(self.method in PRUNING, f"method: wanted {', '.join(PRUNING)}, got {self.method!r}")
        for name in ("channels", "last_channels"):
            check(0 <= getattr(self, name) <= 0.9, f"{name}: wanted 0 to 0.9, got {getattr(self, name)}")
        check(self.ranking in RANKINGS, f"ranking: wanted {', '.join(RANKINGS)}, got {self.ranking!r}")
        check(all(block >= 0 for block in self.keep_blocks), f"keep_blocks: wanted 0 or more, got {self.keep_blocks}")
        check(0 <= self.sparsity < 1, f"sparsity: wanted 0 up to 1, got {self.sparsity}")
        check(0 <= self.distillation <= 1, f"distillation: wanted 0 to 1, got {self.distillation}")
        check(self.temperature > 0, f"temperature: wanted above 0, got {self.temperature}")
        check(1 <= self.batch_images <= 4096, f"batch_images: wanted 1 to 4096, got {self.batch_images}")
        check(self.epochs >= 0, f"epochs: wanted 0 or more, got {self.epochs}")
        check(0 < self.learning_rate <= 1, f"learning_rate: wanted above 0, at most 1, got {self.learning_rate}")


@dataclass(frozen=True)
class QuantiseParams:
    form: str  # int8, int16x8 or float16
    calibration_images: int  # of the training side, at most
    allowed_drop: float  # of macro sensitivity on the validation side, before int8's layers are kept finer
    finer_layers: int  # at most

    def __post_init__(self) -> None:
        check(self.form in FORMS, f"form: wanted {', '.join(FORMS)}, got {self.form!r}")
        check(self.calibration_images >= 1, f"calibration_images: wanted 1 or more, got {self.calibration_images}")
        check(0 <= self.allowed_drop <= 1, f"allowed_drop: wanted 0 to 1, got {self.allowed_drop}")
        check(self.finer_layers >= 0, f"finer_layers: wanted 0 or more, got {self.finer_layers}")


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
