"""A network as ImageNet left it, a last layer that learns on it, and what both answer in each laboratory."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from experiments.views import AT_HOME, HOME, SEED, Pixels, Preparation, prepare, read_cells, show
from hemaloop.errors import ConfigError, GateRefused
from hemaloop.model.adaptation import AdaptParams, Head, adapt, folds
from hemaloop.model.evaluation.figures import Answers
from hemaloop.model.evaluation.scoring import macro_sensitivity
from hemaloop.model.fitting import predict
from hemaloop.model.networks import catalogue
from hemaloop.model.networks.ends import CENTRED
from hemaloop.model.parameters import IMAGENET, TrainParams
from hemaloop.model.prepared import TRAIN, VALIDATION, Samples
from hemaloop.model.sites import FEATURES, Site
from hemaloop.model.weights import describe, give_pretrained

SIZE_PX, ROUNDS = 128, 1000
LABELLED = 20  # of a site
STATISTICS = 0.3  # of batch norm, that are the site's
NETWORK = TrainParams(SEED, IMAGENET, 0.35, 64, 1, 0.001, 0, 0.001, 0, 0.0, 0.0)

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tried:
    """One way to go about it."""

    what: str
    laboratories: dict[str, dict[str, float | None]]  # macro sensitivity with its 95 % interval
    mean: float  # over the laboratories that are not at home
    worst: str
    refused: tuple[str, ...] = ()  # where adapting was refused, and the model stayed as it was


class Experiment:
    """Images, the frozen network, and who is scored."""

    def __init__(self, images: int, laboratories: Sequence[str]) -> None:
        self.training, self.held_out = (read_cells(side, images) for side in (TRAIN, VALIDATION))
        self.shown = {name: show(self.held_out, name, SEED) for name in laboratories}
        self.model = catalogue.build(NETWORK, SIZE_PX, len(self.training.classes), CENTRED)
        give_pretrained(self.model, NETWORK)
        self.backbone = keras.Model(self.model.input, self.model.get_layer(FEATURES).output)
        self.backbone.compile(jit_compile=False)
        if len(self.held_out) < 2 * LABELLED:
            raise ConfigError(f"--images: of {images} of a class too few are left to score: ask for more")
        parts = folds(self.held_out.labels, len(self.held_out) // LABELLED, SEED)
        self.labelled, self.scored = parts[0], np.sort(np.concatenate(parts[1:]))

    def prepared(self, preparation: Preparation) -> tuple[Pixels, dict[str, Pixels]]:
        """Training images, and the held-out ones in each laboratory."""
        views = {name: prepare(cells, preparation, name, SIZE_PX) for name, cells in self.shown.items()}
        return prepare(self.training, preparation, AT_HOME, SIZE_PX), views

    def features(self, pixels: Pixels) -> Reals:
        count = len(pixels)
        found = predict(self.backbone, Samples(pixels, np.arange(count), np.zeros(count, np.intp), (), 1))
        return np.asarray(found, np.float64)

    def learn(self, pixels: Pixels, copies: int = 1) -> Head:
        """A last layer fitted to training images, `copies` of them in a row."""
        scaler, regression = StandardScaler(), LogisticRegression(max_iter=2000)
        regression.fit(scaler.fit_transform(self.features(pixels)), np.tile(self.training.labels, copies))
        weights = regression.coef_.T / scaler.scale_[:, np.newaxis]
        return Head(weights, regression.intercept_ - scaler.mean_ @ weights)

    def network(self) -> dict[str, str]:
        return describe(NETWORK)

    def score(self, what: str, answers: Mapping[str, Reals], refused: Sequence[str] = ()) -> Tried:
        """`answers`: probabilities (n, classes) on the held-out images, for each laboratory."""
        figures = {name: asdict(self._figure(found)) for name, found in answers.items()}
        elsewhere = {name: figure["value"] for name, figure in figures.items() if name not in HOME}
        mean = float(np.mean(list(elsewhere.values())))
        return Tried(what, figures, mean, min(elsewhere, key=elsewhere.__getitem__), tuple(refused))

    def _figure(self, probabilities: Reals) -> Any:
        groups = tuple(self.held_out.groups[place] for place in self.scored)
        seen = np.asarray(probabilities[self.scored], np.float32)
        return macro_sensitivity(Answers(self.held_out.labels[self.scored], seen, groups), ROUNDS, SEED)

    def answer(self, what: str, head: Head, views: Mapping[str, Pixels]) -> Tried:
        return self.score(what, {name: head.probabilities(self.features(pixels)) for name, pixels in views.items()})

    def with_statistics(self, what: str, head: Head, views: Mapping[str, Pixels]) -> Tried:
        """Batch-norm statistics that are in part the site's."""
        answers = {}
        for name, pixels in views.items():
            site = Site(self.model, pixels)
            answers[name] = head.probabilities(site.features(STATISTICS, self.labelled))
            site.use_statistics(0.0, self.labelled)
        return self.score(what, answers)

    def adapted(self, what: str, head: Head, views: Mapping[str, Pixels]) -> Tried:
        """Each laboratory's own twenty images, and what was refused."""
        answers, refused = {}, []
        for name, pixels in views.items():
            few, site = Site(self.model, pixels[self.labelled]), Site(self.model, pixels)
            weight, moved = 0.0, head
            try:
                found = adapt(few.features, self.held_out.labels[self.labelled], head, AdaptParams())
                weight, moved = found.setting.statistics, found.head
            except GateRefused:
                refused.append(name)
            few.use_statistics(0.0, self.labelled)
            answers[name] = moved.probabilities(site.features(weight, self.labelled))
            site.use_statistics(0.0, self.labelled)
        return self.score(what, answers, refused)
