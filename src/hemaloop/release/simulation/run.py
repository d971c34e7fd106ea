"""A rollout from its first look to its end, in simulated time; rule, places and channel are the real ones."""

import heapq
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hemaloop.protocol.channel import Channel
from hemaloop.protocol.report import Report
from hemaloop.protocol.said import Said
from hemaloop.release.rollout.course import Course, channel_of
from hemaloop.release.rollout.evidence import Heard, choose_salt, weigh
from hemaloop.release.rollout.parameters import RolloutParams
from hemaloop.release.rollout.rule import Action, Mode, State, decide, follow
from hemaloop.release.simulation.faults import Model, Weather
from hemaloop.release.simulation.fleet import NEW, OLD, Fleet

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
BEFORE_HOURS = 24  # of reports, with the version before
AFTER_HOURS = 24  # in which devices go back after the end
LOOK_HOURS = 1  # between looks
MOST_HOURS = 24 * 14


@dataclass(frozen=True)
class Hour:
    hour: int  # since the rollout began
    percent: float
    running: int  # devices with the new version
    ever: int  # devices that ran it so far


@dataclass(frozen=True)
class Outcome:
    """What came of a rollout."""

    model: Model
    devices: int
    ever: int  # ran the new version, if only for a round
    images: int  # that it was asked about
    mode: str  # of the rollout, in the end
    percent: float
    hours: int | None  # until its end; None: it did not come to one
    reason: str  # of the last step
    history: tuple[Hour, ...]


def simulate(model: Model, params: RolloutParams, devices: int, seed: int, weather: Weather | None = None) -> Outcome:
    """Roll a model out. The same seed gives the same fleet."""
    fleet = Fleet(devices, model, weather or Weather(), seed)
    state = State(
        "stable", NEW, OLD, choose_salt(NEW, fleet.names, params.phases[0].percent, params.phases[0].devices),
        params.phases[0].percent, since=START, counted_from=START, returnable=True,
    )  # fmt: skip
    return _Run(fleet, state, params).outcome(model)


class _Run:
    def __init__(self, fleet: Fleet, state: State, params: RolloutParams) -> None:
        self._fleet, self._state, self._params = fleet, state, params
        self._heard: dict[str, Heard] = {}
        self._on_their_way: list[tuple[datetime, int, Report]] = []  # a heap, by when they arrive
        self._sent = 0
        self._reason, self._ended = "", 0

    def outcome(self, model: Model) -> Outcome:
        before = Channel("stable", OLD)
        for hour in range(-BEFORE_HOURS, 0):
            self._devices(hour, before, frozenset())
        history = []
        for hour in range(MOST_HOURS):
            self._devices(hour, self._channel(), self._halted())
            live = self._state.mode in (Mode.RUNNING, Mode.PAUSED)
            if live and hour % LOOK_HOURS == 0:
                self._look(hour)
            running = int(self._fleet.new.sum())
            history.append(Hour(hour, self._state.percent, running, int(self._fleet.ever.sum())))
            if self._state.mode == Mode.FINISHED or (not live and hour >= self._ended + AFTER_HOURS):
                break
        over = self._state.mode not in (Mode.RUNNING, Mode.PAUSED)
        return Outcome(
            model, len(self._fleet.names), history[-1].ever, self._fleet.images, self._state.mode,
            self._state.percent, self._ended if over else None, self._reason, tuple(history),
        )  # fmt: skip

    def _devices(self, hour: int, channel: Channel, halted: frozenset[int]) -> None:
        now = START + timedelta(hours=hour)
        for report in self._fleet.round(hour, now, channel, halted):
            if report.at > now:
                self._sent += 1
                heapq.heappush(self._on_their_way, (report.at, self._sent, report))
            else:
                self._hear(report)
        while self._on_their_way and self._on_their_way[0][0] <= now:
            _, _, report = heapq.heappop(self._on_their_way)
            self._hear(report)

    def _hear(self, report: Report) -> None:
        counts = report.at >= self._state.counted_from
        self._heard.setdefault(report.device, Heard()).add(Said.of(report), self._state, counts)

    def _look(self, hour: int) -> None:
        now = START + timedelta(hours=hour)
        evidence = weigh(self._heard, self._state, self._params, now)
        decision = decide(self._state, evidence, self._params, now)
        self._state = follow(self._state, decision, evidence, self._params, now)
        if decision.action is not Action.HOLD:
            self._reason, self._ended = decision.reason, hour

    def _channel(self) -> Channel:
        return channel_of(Course("stable", state=self._state), Channel("stable", OLD), self._params.shadow)

    def _halted(self) -> frozenset[int]:
        return frozenset({NEW} if self._state.mode in (Mode.HALTED, Mode.TURNED_BACK) else ())
