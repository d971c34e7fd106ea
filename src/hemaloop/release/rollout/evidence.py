"""From reports to evidence: what each device said of the version on its way, and of the one before it."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from hemaloop.protocol.channel import place
from hemaloop.protocol.said import Said
from hemaloop.release.rollout.bounds import Share
from hemaloop.release.rollout.parameters import RolloutParams
from hemaloop.release.rollout.rule import Evidence, State

TRIES = 10_000  # of salts


@dataclass
class Sums:
    """What one device said of one version."""

    answered: int = 0  # images
    errors: int = 0  # images without an answer
    labels: Counter[str] = field(default_factory=Counter)
    latency_ms: float | None = None  # of the newest report that has one

    @property
    def attempts(self) -> tuple[int, int]:
        """Images without an answer, and all."""
        return self.errors, self.answered + self.errors

    def add(self, said: Said) -> None:
        self.answered += sum(said.labels.values())
        self.errors += said.errors
        self.labels.update(said.labels)
        self.latency_ms = self.latency_ms if said.latency_ms is None else said.latency_ms


@dataclass
class Heard:
    """What one device said, as far as it matters to a rollout."""

    now: Sums = field(default_factory=Sums)  # with the version on its way
    before: Sums = field(default_factory=Sums)  # with the one before
    reports: int = 0  # since the rollout set out
    tried: bool = False  # took the version, or failed to
    failed: bool = False
    shadowed: int = 0  # images that the version answered beside the one before
    agreed: int = 0  # of them, with the same label
    shadow_errors: int = 0  # images that it did not answer there
    first: datetime | None = None
    last: datetime | None = None

    @property
    def errors(self) -> tuple[int, int]:
        """Images that the version on its way left without an answer, and all that it was asked about."""
        errors, images = self.now.attempts
        return errors + self.shadow_errors, images + self.shadow_errors + self.shadowed

    def add(self, said: Said, state: State, counts: bool) -> None:
        """In any order; the newest latency is that of the last one added.

        Args:
            counts: it was said since `state.counted_from`.
        """
        self.first = said.first if self.first is None else min(self.first, said.first)
        self.last = said.last if self.last is None else max(self.last, said.last)
        if said.version == state.before:
            self.before.add(said)
        if not counts:
            return
        self.reports += said.reports
        if said.version == state.version:
            self.now.add(said)
        for shadow in said.shadows:
            if shadow.version == state.version:
                self.shadowed += shadow.images - shadow.failed
                self.agreed += shadow.agreed
                self.shadow_errors += shadow.failed
        failed = state.version in said.failed
        self.failed |= failed
        self.tried |= failed or said.version == state.version


def hear(before: Iterable[Said], since: Iterable[Said], state: State) -> dict[str, Heard]:
    """Every device of the channel and what it said before `state.counted_from` and since, oldest first."""
    heard: dict[str, Heard] = {}
    for said, counts in (*((said, False) for said in before), *((said, True) for said in since)):
        heard.setdefault(said.device, Heard()).add(said, state, counts)
    return heard


def weigh(
    heard: Mapping[str, Heard], state: State, params: RolloutParams, now: datetime, pins: Collection[str] = ()
) -> Evidence:
    """The evidence that the rule judges. Pinned devices are a person's own business: they count for nothing."""
    known = {device: said for device, said in heard.items() if device not in pins}
    placed = {device for device in known if place(device, state.salt) < state.percent}
    taken = [said for said in known.values() if said.now.answered or said.now.errors]
    timed = [said for said in taken if said.now.latency_ms and said.before.latency_ms]
    cap = params.device_images
    return Evidence(
        heard=sum(said.reports for said in known.values()),
        placed=len(placed),
        devices=len(taken),
        images=sum(said.now.answered for said in taken),
        failed=Share(sum(said.failed for said in known.values()), sum(said.tried for said in known.values())),
        errors=_weighed((said.errors for said in known.values()), cap),
        errors_before=_weighed((said.before.attempts for said in known.values()), cap),
        slow=Share(sum(_is_slow(said, params.limits.latency_ratio) for said in timed), len(timed)),
        labels=_labels((said.now for said in taken), cap),
        labels_before=_labels((said.before for said in taken), cap),
        disagreed=_weighed(((said.shadowed - said.agreed, said.shadowed) for said in known.values()), cap),
        silent=_silent((known[device] for device in placed), state, params, now),
        silent_others=_silent((said for device, said in known.items() if device not in placed), state, params, now),
    )


def choose_salt(version: int, devices: Collection[str], percent: float, wanted: int) -> str:
    """The first salt with which the first phase reaches enough of a fleet and not all of it, however small it is.

    Enough is `wanted`, but no more of the fleet than `percent`, rounded up: chance soon gives that.
    """
    enough = min(wanted, ceil(len(devices) * percent / 100))
    most = len(devices) - 1 if len(devices) > 1 and percent < 100 else len(devices)
    salts = [str(version)] + [f"{version}.{number}" for number in range(1, TRIES)]
    for salt in salts:
        if min(enough, most) <= sum(place(device, salt) < percent for device in devices) <= most:
            return salt
    return salts[0]


def _is_slow(said: Heard, ratio: float) -> bool:
    return (said.now.latency_ms or 0.0) > ratio * (said.before.latency_ms or 0.0)


def _weighed(devices: Iterable[tuple[int, int]], cap: int) -> Share:
    """Images that something holds of, and all of them, a device each; none speaks for more than `cap`."""
    pairs = [(count, images, min(1.0, cap / images)) for count, images in devices if images]
    return Share(sum(weight * count for count, _, weight in pairs), sum(weight * images for _, images, weight in pairs))


def _labels(sums: Iterable[Sums], cap: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in sums:
        for label, images in each.labels.items():
            found[label] = found.get(label, 0.0) + images * min(1.0, cap / each.answered)
    return found


def _silent(heard: Iterable[Heard], state: State, params: RolloutParams, now: datetime) -> Share:
    """Devices that reported before the phase began, and have not for a while; none before that while is over."""
    patience = timedelta(hours=params.silent_hours)
    if now - state.since < patience:
        return Share()
    there = [said for said in heard if said.first and said.last and said.first < state.since <= said.last + patience]
    return Share(sum(said.last is not None and said.last < now - patience for said in there), len(there))
