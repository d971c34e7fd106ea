"""May the rollout go on? Values in, a decision and its reason out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from hemaloop.release.rollout.bounds import (
    NOTHING,
    Share,
    chance_distance,
    distance,
    sure_distance,
    surely_more,
    wilson,
)
from hemaloop.release.rollout.parameters import Limits, Phase, RolloutParams


class Mode(StrEnum):
    """Where a rollout stands."""

    RUNNING = "running"
    PAUSED = "paused"  # by a person: no further phase, but what is bad is halted all the same
    HALTED = "halted"  # no device may run the version until a person resumes it
    TURNED_BACK = "turned back"
    FINISHED = "finished"


LIVE = (Mode.RUNNING, Mode.PAUSED, Mode.HALTED)


class Action(StrEnum):
    ADVANCE = "advance"
    HOLD = "hold"
    HALT = "halt"
    TURN_BACK = "turn back"
    FINISH = "finish"


class Verdict(Enum):
    """Of one measure. Between good and bad lies what so few counts cannot tell."""

    GOOD = "good"  # what was counted keeps the limit
    UNCLEAR = "unclear"
    BAD = "bad"  # surely beyond the limit


@dataclass(frozen=True)
class State:
    """A version's way to the devices of a channel."""

    channel: str
    version: int
    before: int  # what the channel names until the rollout is finished
    salt: str
    percent: float  # of the phase
    since: datetime  # the phase's beginning
    counted_from: datetime  # reports from then on count
    returnable: bool  # whether the version's approvers let devices go back to `before`
    mode: str = Mode.RUNNING.value
    images_before: int = 0  # answered before this phase
    heard: int = 0  # reports behind the last look
    good: int = 0  # looks in a row
    bad: int = 0  # looks in a row


@dataclass(frozen=True)
class Evidence:
    """What the channel's devices reported of the version on its way, since its rollout set out.

    Counts of images are weighed: no device speaks for more than `RolloutParams.device_images`.
    """

    heard: int = 0  # reports of any of the channel's devices
    placed: int = 0  # devices that the phase reaches
    devices: int = 0  # that answered with the version
    images: int = 0  # that they answered, not weighed
    failed: Share = NOTHING  # devices: self-test failed, or came back from probation
    errors: Share = NOTHING  # images without an answer
    errors_before: Share = NOTHING  # with the version before
    slow: Share = NOTHING  # devices: latency beyond Limits.latency_ratio times their own before
    labels: Mapping[str, float] = field(default_factory=dict)  # label -> images
    labels_before: Mapping[str, float] = field(default_factory=dict)  # of the same devices
    disagreed: Share = NOTHING  # images, in shadow runs
    silent: Share = NOTHING  # devices that the phase reaches and that were there when the phase began
    silent_others: Share = NOTHING  # devices that it does not reach


@dataclass(frozen=True)
class Finding:
    """What one measure says."""

    verdict: Verdict
    text: str
    harm: bool  # the version fails; otherwise it only answers differently, which a person must judge


@dataclass(frozen=True)
class Decision:
    action: Action
    reason: str
    good: int = 0  # looks in a row, with this one
    bad: int = 0


def decide(state: State, evidence: Evidence, params: RolloutParams, now: datetime) -> Decision:
    """What becomes of a rollout after a look at its evidence.

    A look that heard of nothing new counts neither as good nor as bad. Phases are taken one by one, each after its
    own minimum of hours, devices, images and good looks.
    """
    if state.mode not in LIVE:
        return Decision(Action.HOLD, f"it is {state.mode}")
    if state.mode == Mode.HALTED:
        return Decision(Action.HOLD, "halted until a person resumes it")
    findings = judge(evidence, params)
    bad = [found for found in findings if found.verdict is Verdict.BAD]
    fresh = int(evidence.heard > state.heard)
    if bad:
        return _after_bad(state, bad, state.bad + fresh, params)
    wanting = _wanting(state, evidence, params)
    unclear = "; ".join(found.text for found in findings if found.verdict is Verdict.UNCLEAR)
    good = 0 if wanting or unclear else state.good + fresh
    reason = _reason_to_hold(state, wanting, unclear, good, params, now)
    if reason:
        return Decision(Action.HOLD, reason, good)
    told = f"{evidence.devices} devices answered {evidence.images} images: {_told(findings)}"
    return Decision(Action.FINISH if state.percent >= 100 else Action.ADVANCE, told, good)


def judge(evidence: Evidence, params: RolloutParams) -> tuple[Finding, ...]:
    """Every measure against its limit."""
    limits, sure = params.limits, params.confidence
    return (
        _share("self-test or probation failed", evidence.failed, limits.failed, sure),
        _more("no answer", evidence.errors, evidence.errors_before, limits.errors, sure),
        _share(f"slower than {limits.latency_ratio:g} times", evidence.slow, limits.slow, sure),
        _shift(evidence, limits, sure),
        _share("disagreed in shadow runs", evidence.disagreed, limits.disagreement, sure, harm=False),
        # Without devices to compare with, silence may be a week-end.
        _more("silent", evidence.silent if evidence.silent_others.of else NOTHING, evidence.silent_others,
              limits.silent, sure),
    )  # fmt: skip


def follow(state: State, decision: Decision, evidence: Evidence, params: RolloutParams, now: datetime) -> State:
    """The state after a decision."""
    looked = replace(state, heard=max(state.heard, evidence.heard), good=decision.good, bad=decision.bad)
    if decision.action is Action.ADVANCE:
        percent = next_phase(state.percent, params).percent
        return replace(looked, percent=percent, since=now, images_before=evidence.images, good=0, bad=0)
    modes = {Action.HALT: Mode.HALTED, Action.TURN_BACK: Mode.TURNED_BACK, Action.FINISH: Mode.FINISHED}
    return replace(looked, mode=modes[decision.action].value) if decision.action in modes else looked


def pause(state: State) -> State:
    return replace(state, mode=Mode.PAUSED.value)


def resume(state: State, now: datetime) -> State:
    """After a halt what was counted is forgotten: a person has looked at it, and the phase begins anew."""
    if state.mode != Mode.HALTED:
        return replace(state, mode=Mode.RUNNING.value)
    return replace(state, mode=Mode.RUNNING.value, since=now, counted_from=now, images_before=0, heard=0, good=0, bad=0)


def this_phase(percent: float, params: RolloutParams) -> Phase:
    """The phase that a rollout is in, even if the phases were changed meanwhile."""
    return next((phase for phase in reversed(params.phases) if phase.percent <= percent), params.phases[0])


def next_phase(percent: float, params: RolloutParams) -> Phase:
    """The phase after; the last stays."""
    return next((phase for phase in params.phases if phase.percent > percent), params.phases[-1])


def _after_bad(state: State, bad: list[Finding], looks: int, params: RolloutParams) -> Decision:
    told = "; ".join(found.text for found in bad)
    if looks < params.bad_looks:
        return Decision(Action.HOLD, f"bad look {looks} of {params.bad_looks}: {told}", bad=looks)
    if state.returnable and any(found.harm for found in bad):
        return Decision(Action.TURN_BACK, told, bad=looks)
    return Decision(Action.HALT, told, bad=looks)


def _wanting(state: State, evidence: Evidence, params: RolloutParams) -> str:
    """What the phase's own minimum still wants of devices and images; "" nothing."""
    phase = this_phase(state.percent, params)
    devices = max(1, min(phase.devices, evidence.placed))
    if evidence.devices < devices:
        return f"{evidence.devices} of {devices} devices have answered with version {state.version}"
    images = evidence.images - state.images_before
    return f"{images} of {phase.images} images" if images < phase.images else ""


def _reason_to_hold(state: State, wanting: str, unclear: str, good: int, params: RolloutParams, now: datetime) -> str:
    phase = this_phase(state.percent, params)
    if state.mode == Mode.PAUSED:
        return "paused until a person resumes it"
    if wanting or unclear:
        return wanting or f"too few to tell: {unclear}"
    if good < params.good_looks:
        return f"good look {good} of {params.good_looks}"
    if now - state.since < timedelta(hours=phase.hours):
        return f"{(now - state.since) / timedelta(hours=1):.1f} of {phase.hours:g} hours"
    return ""


def _told(findings: tuple[Finding, ...]) -> str:
    return "; ".join(found.text for found in findings if found.text) or "nothing to object to"


def _share(name: str, share: Share, limit: float, sure: float, harm: bool = True) -> Finding:
    return _finding(name, share, share.value, wilson(share, sure)[0], limit, harm)


def _more(name: str, share: Share, than: Share, limit: float, sure: float) -> Finding:
    return _finding(name, share, share.value - than.value, surely_more(share, than, sure), limit, harm=True)


def _finding(name: str, share: Share, found: float, low: float, limit: float, harm: bool) -> Finding:
    """`found` as counted, at least `low` for sure."""
    verdict = Verdict.BAD if low > limit else Verdict.UNCLEAR if found > limit else Verdict.GOOD
    if not share.of:
        return Finding(Verdict.GOOD, "", harm)
    return Finding(verdict, f"{name} {found:.1%} of {share.of:.0f} (limit {limit:.1%})", harm)


def _shift(evidence: Evidence, limits: Limits, sure: float) -> Finding:
    now, before = evidence.labels, evidence.labels_before
    found, low = distance(now, before), sure_distance(now, before, sure)
    if found <= 0:
        return Finding(Verdict.GOOD, "", False)
    beyond_chance = found - chance_distance(now, before)
    verdict = Verdict.BAD if low > limits.shift else Verdict.UNCLEAR if beyond_chance > limits.shift else Verdict.GOOD
    return Finding(verdict, f"labels shifted by {found:.2f} (limit {limits.shift:.2f})", harm=False)
