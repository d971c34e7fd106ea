"""Moving a rollout: what the rule or a person decided is recorded, then done. Killed anywhere, it goes on.

First the audit log, then the course, then the channel's file and the list of halted versions. A course that is not
settled is settled by whoever looks at it next.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from hemaloop.errors import ConfigError, GateRefused
from hemaloop.protocol.channel import Channel, channel_target
from hemaloop.protocol.halts import halted_versions
from hemaloop.protocol.keys import must_be_name
from hemaloop.release import audit
from hemaloop.release.channels import check_name, fallback_of, read_channel, read_document, released, write_document
from hemaloop.release.keys.signers import OnlineKeys, load_online, one_writer
from hemaloop.release.metadata import State as Repository
from hemaloop.release.metadata import read_state
from hemaloop.release.online import advance, halt, next_channels, unhalt
from hemaloop.release.parameters import EXPIRIES, Expiries
from hemaloop.release.publish import move_channel
from hemaloop.release.rollout import rule
from hemaloop.release.rollout.course import Course, Step, channel_of, read_course, write_course
from hemaloop.release.rollout.evidence import choose_salt
from hemaloop.release.rollout.parameters import RolloutParams
from hemaloop.release.rollout.rule import LIVE, Action, Decision, Evidence, Mode, State
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

SERVER = "server"
Change = Callable[[Course, Repository], Course]


@dataclass(frozen=True)
class Rollouts:
    """One channel's, and what it takes to move them.

    Raises (any method):
        ConfigError: a key or the repository is missing. UntrustedError: what lies in the bucket is not what was signed.
        GateRefused: what was asked for cannot follow what is.
    """

    bucket: Bucket
    online: Path  # the server's keys
    channel: str
    params: RolloutParams
    expiries: Expiries = EXPIRIES

    def read(self, now: datetime) -> Course:
        return read_course(self.bucket, read_state(self.bucket), self.channel, now)

    def known(self) -> Channel:
        """What the channel's file says now."""
        return self._known(read_state(self.bucket))

    def begin(self, devices: Collection[str], now: datetime) -> Course:
        """Settle what is not, and begin the rollout that waits, if nothing is in its way.

        Args:
            devices: those of the channel; the first phase reaches some of them.
        """

        def change(course: Course, repository: Repository) -> Course:
            version = course.waiting
            if version is None or (course.state and course.state.mode in (Mode.RUNNING, Mode.PAUSED)):
                return course
            if version not in released(repository.targets.signed):
                return course  # its publisher was killed, and will come back
            return self._begun(course, repository, version, devices, SERVER, "it was released", now)

        return self._change(change, now)

    def start(self, version: int, devices: Collection[str], by: str, reason: str, now: datetime) -> Course:
        """A person begins the rollout of a released version, whatever became of it before."""

        def change(course: Course, repository: Repository) -> Course:
            if course.state and course.state.mode in (Mode.RUNNING, Mode.PAUSED):
                raise GateRefused(
                    f"channel {self.channel}: version {course.state.version} is on its way: halt it, or let it finish"
                )
            return self._begun(course, repository, version, devices, by, reason, now)

        return self._change(change, now)

    def open(self, version: int, by: str, reason: str, now: datetime) -> None:
        """A person begins the channel: its first version is for all its devices at once."""
        _check_said(by, reason)
        found = read_channel(self.bucket, read_state(self.bucket), self.channel)
        if found is not None:
            raise GateRefused(f"channel {self.channel} is not new, it names version {found}: start a rollout on it")
        move_channel(self.bucket, self.online, self.channel, version, now, self.expiries, by, reason)

    def look(self, state: State, evidence: Evidence, now: datetime) -> Decision | None:
        """Decide on what devices reported, and do it; None: a person was quicker, and the evidence is of no use.

        Args:
            state: that of the rollout which the evidence is about.
        """
        made: list[Decision] = []

        def change(course: Course, repository: Repository) -> Course:
            if course.state != state:
                return course
            decision = rule.decide(state, evidence, self.params, now)
            if course.settled:
                decision = _unless_halted(decision, state, repository)
            made.append(decision)
            after = rule.follow(state, decision, evidence, self.params, now)
            course = replace(course, looked=f"{decision.action}: {decision.reason}")
            if decision.action is Action.HOLD:
                return replace(course, state=after)
            return course.with_step(after, decision.action, SERVER, decision.reason, now)

        self._change(change, now)
        return made[0] if made else None

    def pause(self, by: str, reason: str, now: datetime) -> Course:
        """No further phase; what is bad is halted all the same."""
        return self._person("pause", (Mode.RUNNING,), rule.pause, by, reason, now)

    def resume(self, by: str, reason: str, now: datetime) -> Course:
        """Go on; after a halt the phase begins anew."""
        return self._person(
            "resume", (Mode.PAUSED, Mode.HALTED), lambda state: rule.resume(state, now), by, reason, now
        )

    def halt(self, by: str, reason: str, now: datetime) -> Course:
        """No device may run the version until it is resumed; those that do go back where their release allows it."""
        modes = (Mode.RUNNING, Mode.PAUSED)
        return self._person("halt", modes, lambda state: replace(state, mode=Mode.HALTED.value), by, reason, now)

    def turn_back(self, by: str, reason: str, now: datetime) -> Course:
        """Give the version up."""
        return self._person(
            "turn back", LIVE, lambda state: replace(state, mode=Mode.TURNED_BACK.value), by, reason, now
        )

    def pin(self, device: str, version: int | None, by: str, reason: str, now: datetime) -> Channel:
        """Let a device run a version whatever the channel says; None: no longer. Which ones it may, its rules say."""
        must_be_name("device", device, ConfigError)
        _check_said(by, reason)
        with one_writer(self.online):
            repository = read_state(self.bucket)
            known = self._known(repository)
            if version is not None and version not in released(repository.targets.signed):
                raise GateRefused(f"device {device}: version {version} is not released: too few approved it")
            pins = {name: number for name, number in known.pins.items() if name != device}
            wanted = replace(known, pins=pins if version is None else pins | {device: version})
            if wanted != known:
                told = {"device": device, "version": "none" if version is None else str(version)}
                audit.append(self.bucket, "channel", f"channel {self.channel}", by, f"pin: {reason}", now, told)
                self._put(repository, self._keys(repository), wanted, now)
        return wanted

    def _person(
        self, action: str, modes: Collection[Mode], act: Callable[[State], State], by: str, reason: str, now: datetime
    ) -> Course:
        _check_said(by, reason)

        def change(course: Course, repository: Repository) -> Course:
            state = course.state
            if state is None or state.mode not in modes:
                found = "there is none" if state is None else f"that of version {state.version} is {state.mode}"
                raise GateRefused(
                    f"channel {self.channel}: {action}: wanted a rollout that is {' or '.join(modes)}, but {found}"
                )
            return course.with_step(act(state), action, by, reason, now)

        return self._change(change, now)

    def _begun(
        self, course: Course, repository: Repository, version: int, devices: Collection[str], by: str, reason: str,
        now: datetime,
    ) -> Course:  # fmt: skip
        _check_said(by, reason)
        before = self._known(repository).version
        if version not in released(repository.targets.signed):
            raise GateRefused(f"channel {self.channel}: version {version} is not released: too few approved it")
        if version <= before:
            raise GateRefused(f"channel {self.channel}: version {version} is not newer than {before}, which it names")
        first = self.params.phases[0]
        state = State(
            self.channel, version, before, choose_salt(version, devices, first.percent, first.devices), first.percent,
            since=now, counted_from=now, returnable=fallback_of(repository.targets.signed, version) == before,
        )  # fmt: skip
        return replace(course, waiting=None, looked="").with_step(state, "start", by, reason, now)

    def _change(self, change: Change, now: datetime) -> Course:
        with one_writer(self.online):
            repository = read_state(self.bucket)
            keys = self._keys(repository)
            known = read_course(self.bucket, repository, self.channel, now)
            course = change(_unless_revoked(known, repository, now), repository)
            for step in course.steps[-2:]:
                if step not in known.steps:
                    self._tell(step)
            if course != known:
                write_course(self.bucket, course, keys)
            if course.live or not course.settled:
                self._put(repository, keys, channel_of(course, self._known(repository), self.params.shadow), now)
        return course if course.settled else self._settle(course, now)

    def _tell(self, step: Step) -> None:
        told = {"version": str(step.version), "percent": f"{step.percent:g}", "action": step.action}
        audit.append(self.bucket, "rollout", f"channel {self.channel}", step.by, step.reason, step.at, told)

    def _settle(self, course: Course, now: datetime) -> Course:
        """The list of halted versions follows; then the course says that all is done."""
        assert course.state is not None
        stopped = course.state.mode in (Mode.HALTED, Mode.TURNED_BACK)
        (halt if stopped else unhalt)(self.bucket, self.online, course.state.version, now, self.expiries)
        with one_writer(self.online):
            repository = read_state(self.bucket)
            now_known = read_course(self.bucket, repository, self.channel, now)
            settled = replace(course, settled=True)
            if now_known == course:
                write_course(self.bucket, settled, self._keys(repository))
        return settled

    def _known(self, repository: Repository) -> Channel:
        check_name(self.channel)
        known = read_document(self.bucket, repository, self.channel)
        if known is None:
            raise GateRefused(f"channel {self.channel} names no version yet: `hemaloop release publish` does that")
        return known

    def _keys(self, repository: Repository) -> OnlineKeys:
        return load_online(self.online, repository.root, repository.targets.signed)

    def _put(self, repository: Repository, keys: OnlineKeys, channel: Channel, now: datetime) -> None:
        """Sign what the channel says, if it does not say so already."""
        if channel == read_document(self.bucket, repository, self.channel):
            return
        files = {channel_target(self.channel): write_document(self.bucket, channel)}
        changed = replace(repository, channels=next_channels(repository, keys, files, now, self.expiries))
        advance(self.bucket, repository, changed, keys, now, self.expiries)
        log.info("channel %s: version %d, rollout %s", self.channel, channel.version, channel.rollout)


def _unless_revoked(course: Course, repository: Repository, now: datetime) -> Course:
    """The rollout of a version that its approvers revoked is over, whatever anybody decides."""
    state = course.state
    if state is None or not course.live or state.version in released(repository.targets.signed):
        return course
    over = replace(state, mode=Mode.TURNED_BACK.value)
    return course.with_step(over, Action.TURN_BACK, SERVER, f"version {state.version} was revoked", now)


def _unless_halted(decision: Decision, state: State, repository: Repository) -> Decision:
    """A version that was halted by other means than its rollout waits for a person, too."""
    halted = state.version in halted_versions(repository.timestamp.signed.unrecognized_fields)
    if halted and state.mode in (Mode.RUNNING, Mode.PAUSED) and decision.action is not Action.TURN_BACK:
        return Decision(Action.HALT, f"version {state.version} is on the list of halted versions")
    return decision


def _check_said(by: str, reason: str) -> None:
    if not by.strip() or not reason.strip():
        raise ConfigError("a rollout wants to know who decides, and why: give a person and a reason")
