"""Fit a model's last layer to a new site with few labelled images, and tell by leaving images out whether that helps.

Nothing here needs TensorFlow: the network is seen through its features alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from threadpoolctl import threadpool_limits

from hemaloop.config import check
from hemaloop.errors import DataError, GateRefused

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]

LEAST_IMAGES, LEAST_OF_A_CLASS = 8, 2
GUESSING = 0.9  # share of the loss of guessing evenly, that adapting must come below
LEAST_FALL = 0.05  # share of the loss before, that must be gained
LEVEL = 0.9  # of the interval of what was gained
_FOLDS_TO_CHOOSE = 5


@dataclass(frozen=True)
class AdaptParams:
    """What is tried; what helps most on the site's own images is chosen. Little is, for twenty images choose badly."""

    seed: int = 7
    statistics: tuple[float, ...] = (0.0,)  # weights of the site's batch-norm statistics; 0 keeps the old ones
    temperatures: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0, 4.0)  # that the last layer's logits are divided by
    penalties: tuple[float, ...] = (2.0,)  # on how far the last layer may move, against all images together
    folds: int = 20  # at most; with so many images or fewer each is left out by itself
    calibration_images: int = 200  # of the training side, beside the site's own, for the quantised file

    def __post_init__(self) -> None:
        check(self.seed >= 0, f"seed: wanted 0 or more, got {self.seed}")
        check(
            len(self.statistics) > 0 and all(0 <= weight <= 1 for weight in self.statistics),
            f"statistics: wanted weights of 0 to 1, got {self.statistics}",
        )
        check(
            len(self.temperatures) > 0 and all(temperature > 0 for temperature in self.temperatures),
            f"temperatures: wanted some above 0, got {self.temperatures}",
        )
        check(
            len(self.penalties) > 0 and all(penalty > 0 for penalty in self.penalties),
            f"penalties: wanted some above 0, got {self.penalties}",
        )
        check(2 <= self.folds <= 200, f"folds: wanted 2 to 200, got {self.folds}")
        check(self.calibration_images >= 0, f"calibration_images: wanted 0 or more, got {self.calibration_images}")


@dataclass(frozen=True)
class Head:
    """The last layer: logits are features @ weights + bias."""

    weights: Array  # (features, classes)
    bias: Array  # (classes,)

    def probabilities(self, features: Array) -> Array:
        """(n, features) -> (n, classes)."""
        return np.asarray(softmax(features @ self.weights + self.bias, axis=1))

    def tempered(self, temperature: float) -> "Head":
        """Its logits divided by the temperature, as `tempering.temper` does: the same answers, above 1 less sure.

        Source: Guo et al. 2017, "On calibration of modern neural networks".
        """
        return Head(self.weights / temperature, self.bias / temperature)


@dataclass(frozen=True)
class Setting:
    """One way to adapt."""

    statistics: float  # weight of the site's batch-norm statistics
    temperature: float  # of the last layer, before it is refitted
    penalty: float  # of the last layer's refit


@dataclass(frozen=True)
class Outcome:
    """Answers for images that had no part in what answered them; figures count every class alike."""

    before_loss: float
    after_loss: float
    gain_low: float  # of the fall in loss, 90 % interval by bootstrap over images
    gain_high: float
    before_sensitivity: float  # macro
    after_sensitivity: float

    @property
    def is_shown(self) -> bool:
        """Whether these images alone show a gain; most often they are too few for it."""
        return self.gain_low > 0


@dataclass(frozen=True)
class Adapted:
    setting: Setting
    head: Head
    outcome: Outcome


# Features of all the site's images (n, features) when batch-norm statistics come from those of `known` (positions).
Features = Callable[[float, Labels], Array]


def adapt(features: Features, labels: Labels, head: Head, params: AdaptParams) -> Adapted:
    """The setting that helps most at the site, fitted on all of its images, and what it was seen to gain.

    Everything is done anew without the images that are left out: the statistics, the choice of the setting, the fit.
    So the gain is that of the whole procedure and not of its luckiest setting.

    Raises:
        DataError: too few images. GateRefused: it does not help there.
    """
    check_enough(labels)
    with threadpool_limits(1, "blas"):  # matrices this small: several threads only wait for each other
        return _adapt(features, labels, head, params)


def _adapt(features: Features, labels: Labels, head: Head, params: AdaptParams) -> Adapted:
    everything = np.arange(len(labels))
    before, after = np.empty((2, len(labels), len(head.bias)))
    for fold in folds(labels, params.folds, params.seed):
        known = np.setdiff1d(everything, fold)
        seen = {weight: features(weight, known) for weight in params.statistics}
        setting = choose({weight: values[known] for weight, values in seen.items()}, labels[known], head, params)
        fitted = fit(seen[setting.statistics][known], labels[known], head, setting)
        before[fold] = head.probabilities(features(0.0, known)[fold])
        after[fold] = fitted.probabilities(seen[setting.statistics][fold])
    outcome = compare(labels, before, after, params.seed)
    refuse_useless(outcome, labels)
    whole = {weight: features(weight, everything) for weight in params.statistics}
    setting = choose(whole, labels, head, params)
    return Adapted(setting, fit(whole[setting.statistics], labels, head, setting), outcome)


def check_enough(labels: Labels) -> None:
    """Raises: DataError: fewer than 8 images, a single class, or a class with one image."""
    counts = np.bincount(labels)
    present = counts[counts > 0]
    if len(labels) < LEAST_IMAGES or len(present) < 2 or present.min() < LEAST_OF_A_CLASS:
        raise DataError(
            f"adapting needs at least {LEAST_IMAGES} labelled images, of two classes or more, and "
            f"{LEAST_OF_A_CLASS} of each class that there is; got {len(labels)} images of {len(present)} classes: "
            "label some more, or leave out the class that has one"
        )


def folds(labels: Labels, most: int, seed: int) -> list[Labels]:
    """Parts of the images, classes dealt out evenly; one image each where there are no more than `most`."""
    order = np.random.default_rng(seed).permutation(len(labels))
    dealt = order[np.argsort(labels[order], kind="stable")]
    count = min(most, len(labels))
    return [np.sort(dealt[part::count]) for part in range(count)]


def choose(features: dict[float, Array], labels: Labels, head: Head, params: AdaptParams) -> Setting:
    """The setting with the lowest loss on images left out in turn; the first of those that are even."""
    settings = [Setting(*each) for each in product(features, params.temperatures, params.penalties)]
    if len(settings) == 1:
        return settings[0]
    return min(settings, key=lambda each: _left_out_loss(features[each.statistics], labels, head, each, params))


def _left_out_loss(features: Array, labels: Labels, head: Head, setting: Setting, params: AdaptParams) -> float:
    answers = np.empty((len(labels), len(head.bias)))
    for fold in folds(labels, min(params.folds, _FOLDS_TO_CHOOSE), params.seed):
        known = np.setdiff1d(np.arange(len(labels)), fold)
        answers[fold] = fit(features[known], labels[known], head, setting).probabilities(features[fold])
    return macro_loss(labels, answers)


def fit(features: Array, labels: Labels, head: Head, setting: Setting) -> Head:
    """The head at the setting's temperature, moved towards the site's labels, and held to where it was.

    Minimises the mean cross-entropy of n images, each class weighted alike, + penalty / 2n * |change|^2, with features
    centred and scaled to a mean squared length of 1. Only classes with images move; the others are tempered alone.

    Source: as the regularised adaptation of Chelba and Acero 2004, "Adaptation of maximum entropy capitalizer".
    """
    before = head.tempered(setting.temperature)
    middle = features.mean(axis=0)
    centred = features - middle
    scale = float(np.sqrt(np.mean(np.sum(centred**2, axis=1)))) or 1.0
    # The best change lies in the span of the features: solve there, in as many dimensions as images.
    _, lengths, directions = np.linalg.svd(centred / scale, full_matrices=False)
    basis = directions[lengths > 1e-9]
    inputs = np.column_stack([centred / scale @ basis.T, np.ones(len(features))])
    present = np.unique(labels)
    logits = (features @ before.weights + before.bias)[:, present]
    change = _solve(inputs, logits, np.searchsorted(present, labels), setting.penalty / len(labels))
    weights, bias = before.weights.copy(), before.bias.copy()
    moved = basis.T @ change[:-1] / scale
    weights[:, present] += moved
    bias[present] += change[-1] - middle @ moved
    return Head(weights, bias)


def _solve(inputs: Array, logits: Array, labels: Labels, penalty: float) -> Array:
    """The change (inputs, classes) that `fit` minimises for."""
    shape = (inputs.shape[1], logits.shape[1])
    weights = balance(labels)[:, None]
    targets = np.eye(shape[1])[labels]

    def cost(flat: Array) -> tuple[float, Array]:
        change = flat.reshape(shape)
        answers = log_softmax(logits + inputs @ change, axis=1)
        loss = -float(np.sum(weights * targets * answers)) + penalty / 2 * float(flat @ flat)
        slope = inputs.T @ (weights * (np.exp(answers) - targets)) + penalty * change
        return loss, slope.ravel()

    found = minimize(cost, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 60})
    return np.asarray(found.x.reshape(shape))


def balance(labels: Labels) -> Array:
    """Weights (n,) that add up to 1 and make each present class count alike."""
    counts = np.bincount(labels)
    return np.asarray(1 / (counts[labels] * np.count_nonzero(counts)))


def macro_loss(labels: Labels, probabilities: Array) -> float:
    """Mean over the present classes of the mean of -ln p(label)."""
    return float(np.sum(balance(labels) * _losses(labels, probabilities)))


def compare(labels: Labels, before: Array, after: Array, seed: int, rounds: int = 2000) -> Outcome:
    """Answers before and after, image by image."""
    fall = _losses(labels, before) - _losses(labels, after)
    weights = balance(labels)
    drawn = np.random.default_rng(seed).multinomial(len(labels), np.full(len(labels), 1 / len(labels)), rounds)
    gains = drawn @ (weights * fall) / (drawn @ weights)
    low, high = np.quantile(gains, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Outcome(
        before_loss=macro_loss(labels, before),
        after_loss=macro_loss(labels, after),
        gain_low=float(low),
        gain_high=float(high),
        before_sensitivity=float(np.sum(weights * (before.argmax(axis=1) == labels))),
        after_sensitivity=float(np.sum(weights * (after.argmax(axis=1) == labels))),
    )


def refuse_useless(outcome: Outcome, labels: Labels) -> None:
    """Raises: GateRefused: the loss fell by less than a twentieth, is that of guessing, or fewer answers are right.

    That the fall is shown is not asked for: twenty images rarely show one, and over the simulated laboratories of
    experiments/ what is let through here gained far more often than it lost. `Outcome.is_shown` tells.
    A head that labels without sense have made doubt gains too: it is wrong less surely.
    """
    guessing = float(np.log(len(np.unique(labels))))
    told = (
        f"on {len(labels)} images, each answered without its own part: loss {outcome.before_loss:.3f} before, "
        f"{outcome.after_loss:.3f} after (fall {outcome.gain_low:.3f} to {outcome.gain_high:.3f}), "
        f"macro sensitivity {outcome.before_sensitivity:.3f} before, {outcome.after_sensitivity:.3f} after"
    )
    fewer_right = outcome.after_sensitivity < outcome.before_sensitivity
    if fewer_right or outcome.after_loss >= min((1 - LEAST_FALL) * outcome.before_loss, GUESSING * guessing):
        raise GateRefused(f"adapting does not help on these images ({told}): keep the model, or label more")


def _losses(labels: Labels, probabilities: Array) -> Array:
    picked = probabilities[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.maximum(picked, 1e-7)))
