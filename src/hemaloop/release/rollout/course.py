"""Where a channel's rollout stands, and how it came there: rollouts/<channel>.json, signed by the server.

Signed with the channels key, so that whoever may write to the bucket alone cannot hurry a rollout. What is missing
or not so signed (anymore: the key was replaced) is made anew from the channel's file, and the phase begins again.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from securesystemslib.signer import Signature
from tuf.api.exceptions import RepositoryError

from hemaloop.errors import DataError
from hemaloop.protocol.channel import Channel, Rollout
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.halts import halted_versions
from hemaloop.release.channels import fallback_of, read_document
from hemaloop.release.keys.signers import OnlineKeys
from hemaloop.release.metadata import CHANNELS
from hemaloop.release.metadata import State as Repository
from hemaloop.release.rollout.rule import LIVE, Mode, State
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

ROLLOUTS = "rollouts/"  # not below releases/: devices have no business with people's names and reasons
KEPT_STEPS = 200


@dataclass(frozen=True)
class Step:
    """Something that became of a rollout."""

    at: datetime
    version: int
    action: str
    by: str  # a person, or "server"
    reason: str
    percent: float  # of the devices, from then on

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} version {self.version} {self.action}, {self.by}: {self.reason}"


@dataclass(frozen=True)
class Course:
    """A channel's rollouts."""

    channel: str
    waiting: int | None = None  # a version whose rollout begins as soon as nothing is in its way
    state: State | None = None  # of the newest rollout; None before the first
    steps: tuple[Step, ...] = ()  # the newest last
    settled: bool = True  # False: the channel's file, or the list of halted versions, may lag behind
    looked: str = ""  # what the last look said

    @property
    def live(self) -> bool:
        return self.state is not None and self.state.mode in LIVE

    def with_step(self, state: State, action: str, by: str, reason: str, now: datetime) -> "Course":
        """The course after something became of its rollout."""
        step = Step(now, state.version, action, by, reason, 0.0 if state.mode == Mode.TURNED_BACK else state.percent)
        return replace(self, state=state, steps=(*self.steps, step)[-KEPT_STEPS:], settled=False)


@dataclass(frozen=True)
class SignedCourse:
    course: Course
    key: str  # TUF key id
    signature: str  # hexadecimal, over the course


def read_course(bucket: Bucket, repository: Repository, channel: str, now: datetime) -> Course:
    """Where a channel's rollouts stand. Raises: UntrustedError: the channel's own file is not what was signed."""
    signed = _read(bucket, channel)
    if signed is not None and signed.course.channel == channel and _verifies(signed, repository):
        return signed.course
    if signed is not None:
        log.warning("%s%s.json is not signed with the channels key in force: passed over", ROLLOUTS, channel)
    return _from_channel(read_document(bucket, repository, channel), repository, channel, now)


def write_course(bucket: Bucket, course: Course, keys: OnlineKeys) -> None:
    signer = keys.channels
    signed = SignedCourse(course, signer.public_key.keyid, signer.sign(encode(course)).signature)
    bucket.write(f"{ROLLOUTS}{course.channel}.json", encode(signed))


def await_rollout(
    bucket: Bucket, repository: Repository, keys: OnlineKeys, channel: str, version: int, now: datetime
) -> None:
    """A version that is about to be released gets its rollout as soon as nothing is in its way."""
    course = read_course(bucket, repository, channel, now)
    if course.waiting != version:
        write_course(bucket, replace(course, waiting=version), keys)


def channel_of(course: Course, known: Channel, shadow: bool) -> Channel:
    """What the channel's file must say; the version that it names changes at the end alone, pins never."""
    state = course.state
    if state is None:
        return known
    if state.mode == Mode.FINISHED:
        return replace(known, version=max(state.version, known.version), rollout=None, shadow=None)
    rollout = Rollout(state.version, state.percent, state.salt)
    if state.mode in (Mode.RUNNING, Mode.PAUSED):
        return replace(known, rollout=rollout, shadow=state.version if shadow else None)
    # Where devices cannot go back, the rollout stays: telling them to would only make them refuse.
    stays = state.mode == Mode.HALTED and not state.returnable
    return replace(known, rollout=rollout if stays else None, shadow=None)


def _read(bucket: Bucket, channel: str) -> SignedCourse | None:
    try:
        return decode(bucket.read(f"{ROLLOUTS}{channel}.json"), SignedCourse)
    except FileNotFoundError:
        return None
    except DataError as error:
        log.warning("%s%s.json: %s", ROLLOUTS, channel, error)
        return None


def _verifies(signed: SignedCourse, repository: Repository) -> bool:
    signatures = {signed.key: Signature(signed.key, signed.signature)}
    try:
        repository.targets.signed.verify_delegate(CHANNELS, encode(signed.course), signatures)
    except RepositoryError:
        return False
    return True


def _from_channel(known: Channel | None, repository: Repository, channel: str, now: datetime) -> Course:
    """As much as the channel's signed file tells: a phase never counts as further than it was signed."""
    if known is None or known.rollout is None:
        return Course(channel)
    found = known.rollout
    halted = found.version in halted_versions(repository.timestamp.signed.unrecognized_fields)
    state = State(
        channel, found.version, known.version, found.salt, found.percent, since=now, counted_from=now,
        returnable=fallback_of(repository.targets.signed, found.version) == known.version,
        mode=(Mode.HALTED if halted else Mode.RUNNING).value,
    )  # fmt: skip
    return Course(channel, state=state, settled=False)
