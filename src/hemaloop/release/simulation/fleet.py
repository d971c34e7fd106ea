"""Devices that do what their channel says, and report; written with arrays, for there are ten thousand of them."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from hemaloop.protocol.channel import Channel, wanted_version
from hemaloop.protocol.report import Report, ShadowRun
from hemaloop.release.simulation.faults import Model, Weather

LABELS = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")
SHARES = np.array([0.6, 0.3, 0.06, 0.03, 0.01])
ROUND_HOURS = 4  # between a device's rounds: it looks at its channel, classifies, and reports
IMAGES_AN_HOUR = (0.5, 6.0)  # of a device, evenly between
LATENCY_MS = (40.0, 160.0)  # of a device with the version before
OLD, NEW = 1, 2


class Fleet:
    """Devices `sim-0`, `sim-1`, ... that all run OLD in the beginning."""

    def __init__(self, size: int, model: Model, weather: Weather, seed: int) -> None:
        self.names = [f"sim-{number}" for number in range(size)]
        self.ever = np.zeros(size, bool)  # ran NEW, if only for a round
        self.new = np.zeros(size, bool)  # runs NEW now
        self.images = 0  # that NEW was asked about
        self._model, self._weather, self._rng = model, weather, np.random.default_rng(seed)
        self._dead = np.zeros(size, bool)
        self._avoids = np.zeros(size, bool)  # NEW failed here
        self._self_test = np.zeros(size, bool)  # what failed was its self-test
        self._rate = self._rng.uniform(*IMAGES_AN_HOUR, size)
        self._latency = self._rng.uniform(*LATENCY_MS, size)
        # Every laboratory has its own patients.
        self._shares = self._rng.dirichlet(SHARES * 40, size)
        self._fails, self._returns, self._dies = (
            self._rng.random(size) < share for share in (model.fails_self_test, model.returns, model.dies)
        )

    def round(self, hour: int, now: datetime, channel: Channel, halted: frozenset[int]) -> list[Report]:
        """What the devices whose turn it is in this hour report, each with the time at which it arrives."""
        turn = np.arange(len(self.names)) % ROUND_HOURS == hour % ROUND_HOURS
        self._dead |= turn & (self._rng.random(len(turn)) < self._weather.dies * ROUND_HOURS / 24)
        on = np.flatnonzero(turn & ~self._dead & (self._rng.random(len(turn)) >= self._weather.off))
        self._follow(on, channel, halted)
        on = on[~self._dead[on]]
        asked = self._rng.poisson(self._rate[on] * ROUND_HOURS)
        self.images += int(asked[self.new[on]].sum())
        lost = self._rng.random(len(on)) < self._weather.lost
        late = self._rng.random(len(on)) < self._weather.late
        delays = np.where(late, self._rng.exponential(self._weather.late_hours, len(on)), 0.0)
        arriving = [now + timedelta(hours=delay) for delay in delays.tolist()]
        return [
            report
            for report, gone in zip(self._reports(on, asked, arriving, channel, halted), lost.tolist(), strict=True)
            if not gone
        ]

    def _follow(self, on: NDArray[np.intp], channel: Channel, halted: frozenset[int]) -> None:
        """Devices take NEW and go back as the channel and the halts say; some of them by themselves."""
        wanted = np.array([wanted_version(channel, self.names[each]) for each in on], int).reshape(-1)
        wants = (wanted == NEW) & (NEW not in halted) & ~self._avoids[on]
        taking = on[wants & ~self.new[on]]
        failing = taking[self._fails[taking]]
        self._avoids[failing] = self._self_test[failing] = True
        taken = taking[~self._fails[taking]]
        self.ever[taken] = True
        self.new[on] = wants
        self.new[failing] = False
        self._dead[taken] |= self._dies[taken]
        returned = taken[self._returns[taken] & ~self._dies[taken]]
        self._avoids[returned], self.new[returned] = True, False

    def _reports(
        self,
        on: NDArray[np.intp],
        asked: NDArray[np.int_],
        arriving: Sequence[datetime],
        channel: Channel,
        halted: frozenset[int],
    ) -> Iterator[Report]:
        new = self.new[on]
        errors = self._rng.binomial(asked, self._weather.errors + np.where(new, self._model.errors, 0.0))
        answered = self._rng.multinomial(asked - errors, self._answers(on, new))
        spread = self._rng.lognormal(0, self._weather.latency_spread, len(on))
        latency = self._latency[on] * np.where(new, self._model.latency_ratio, 1.0) * spread
        beside = asked if channel.shadow == NEW and NEW not in halted else np.zeros_like(asked)
        beside = np.where(new | self._avoids[on], 0, beside)
        unanswered = self._rng.binomial(beside, self._weather.errors + self._model.errors)
        agreed = self._rng.binomial(beside - unanswered, 1 - self._disagreement(on))
        for place, each in enumerate(on):
            shadow = None
            if beside[place]:
                shadow = ShadowRun(NEW, int(beside[place]), int(agreed[place]), int(unanswered[place]))
            labels = zip(LABELS, answered[place].tolist(), strict=True)
            yield Report(
                self.names[each], arriving[place], "simulated",
                NEW if new[place] else OLD, self._self_test_of(int(each)),
                classified={label: images for label, images in labels if images},
                latency_ms=float(latency[place]) if asked[place] else None, channel=channel.name,
                probation=self._probation_of(int(each)), failures=int(errors[place]), shadow=shadow,
            )  # fmt: skip

    def _answers(self, on: NDArray[np.intp], new: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The share of each label, a row a device."""
        one_class = np.eye(len(LABELS))[0]
        weight = np.where(new, self._model.one_class, 0.0)[:, None]
        found: NDArray[np.float64] = (1 - weight) * self._shares[on] + weight * one_class
        found /= found.sum(1, keepdims=True)
        return found

    def _disagreement(self, on: NDArray[np.intp]) -> NDArray[np.float64]:
        others = 1 - self._shares[on, 0]
        found: NDArray[np.float64] = np.maximum(self._model.disagrees, self._model.one_class * others)
        return found

    def _self_test_of(self, device: int) -> str:
        return f"failed: release {NEW}: other answers" if self._self_test[device] else "passed"

    def _probation_of(self, device: int) -> str:
        returned = self._avoids[device] and not self._self_test[device]
        return f"returned: release {NEW}: it failed 5 of 20 images" if returned else "none"
