"""The rules that a candidate must meet before anybody is asked to approve it. Pure."""

from dataclasses import dataclass, replace

from hemaloop.config import check


@dataclass(frozen=True)
class GateRules:
    """Section `gate` of params.yaml."""

    macro_sensitivity_low: float  # lower end of the 95 % interval, at least
    drop_from_champion: float  # of macro sensitivity, on the same test images, at most
    drop_from_float: float  # of macro sensitivity, against its own float parent, at most
    bytes: int  # of the shipped file, at most
    latency_ratio_to_float: float  # at most
    calibration_error_low: float  # lower end of the 95 % interval of ECE, at most: what chance does not explain
    worst_subgroup: float  # macro sensitivity of the worst device or stain of those that are large enough, at least
    prune_saves: float  # share of the bytes or of the latency that pruning took off the shipped file, at least

    def __post_init__(self) -> None:
        check(
            0 <= self.macro_sensitivity_low <= 1, f"macro_sensitivity_low {self.macro_sensitivity_low}: wanted 0 to 1"
        )
        check(0 <= self.drop_from_champion <= 1, f"drop_from_champion {self.drop_from_champion}: wanted 0 to 1")
        check(0 <= self.drop_from_float <= 1, f"drop_from_float {self.drop_from_float}: wanted 0 to 1")
        check(self.bytes > 0, f"bytes {self.bytes}: wanted more than 0")
        check(self.latency_ratio_to_float > 0, f"latency_ratio_to_float {self.latency_ratio_to_float}: wanted above 0")
        check(
            0 <= self.calibration_error_low <= 1, f"calibration_error_low {self.calibration_error_low}: wanted 0 to 1"
        )
        check(0 <= self.worst_subgroup <= 1, f"worst_subgroup {self.worst_subgroup}: wanted 0 to 1")
        check(0 < self.prune_saves <= 1, f"prune_saves {self.prune_saves}: wanted above 0, at most 1")


@dataclass(frozen=True)
class Unpruned:
    """What would have shipped had nothing been pruned: the float parent in the shipped form."""

    bytes: int
    latency_ms: float  # measured in one run with the shipped file's


@dataclass(frozen=True)
class Scores:
    """What the gate looks at; of the shipped file, its float parent, and the champion on the same test images."""

    macro_sensitivity: float | None  # over the classes that have test images
    macro_sensitivity_low: float | None  # None: their images are of a single group
    untested_classes: int  # that have none, and that no figure speaks of
    calibration_error_low: float | None
    worst_subgroup: float | None  # None: no subgroup has images enough to be named
    bytes: int
    latency_ms: float
    float_macro_sensitivity: float | None
    float_latency_ms: float
    champion_macro_sensitivity: float | None  # None: there is no champion yet
    unpruned: Unpruned | None  # None: nothing was pruned


@dataclass(frozen=True)
class Verdict:
    """One rule's answer."""

    rule: str
    holds: bool
    found: float | None
    wanted: str

    def __str__(self) -> str:
        found = "nothing to measure" if self.found is None else f"{self.found:g}"
        return f"{self.rule}: {found}, wanted {self.wanted}"


def judge(scores: Scores, rules: GateRules) -> tuple[Verdict, ...]:
    """Every rule's verdict. What could not be measured does not hold."""
    return (
        _at_most("untested_classes", float(scores.untested_classes), 0),
        _at_least("macro_sensitivity_low", scores.macro_sensitivity_low, rules.macro_sensitivity_low),
        _at_most("drop_from_float", _drop(scores.float_macro_sensitivity, scores), rules.drop_from_float),
        _drop_from_champion(scores, rules),
        _at_most("calibration_error_low", scores.calibration_error_low, rules.calibration_error_low),
        _worst_subgroup(scores, rules),
        _at_most("bytes", float(scores.bytes), float(rules.bytes)),
        _at_most("latency_ratio_to_float", scores.latency_ms / scores.float_latency_ms, rules.latency_ratio_to_float),
        _prune_pays(scores, rules),
    )


def refusals(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    return tuple(verdict for verdict in verdicts if not verdict.holds)


def _drop_from_champion(scores: Scores, rules: GateRules) -> Verdict:
    if scores.champion_macro_sensitivity is None:
        return Verdict("drop_from_champion", True, 0.0, "nothing: there is no champion yet")
    return _at_most("drop_from_champion", _drop(scores.champion_macro_sensitivity, scores), rules.drop_from_champion)


def _worst_subgroup(scores: Scores, rules: GateRules) -> Verdict:
    if scores.worst_subgroup is None:
        return Verdict("worst_subgroup", True, None, "nothing: no subgroup has images enough")
    return _at_least("worst_subgroup", scores.worst_subgroup, rules.worst_subgroup)


def _prune_pays(scores: Scores, rules: GateRules) -> Verdict:
    """A prune that makes the shipped file neither smaller nor faster has only cost accuracy."""
    if scores.unpruned is None:
        return Verdict("prune_pays", True, None, "nothing: nothing was pruned")
    smaller = 1 - scores.bytes / scores.unpruned.bytes
    faster = 1 - scores.latency_ms / scores.unpruned.latency_ms
    verdict = _at_least("prune_pays", round(max(smaller, faster), 6), rules.prune_saves)
    return replace(verdict, wanted=f"{verdict.wanted} of the bytes or of the latency saved")


def _drop(other: float | None, scores: Scores) -> float | None:
    """How much of `other`'s macro sensitivity the shipped file lost."""
    if other is None or scores.macro_sensitivity is None:
        return None
    return round(other - scores.macro_sensitivity, 6)


def _at_least(rule: str, found: float | None, bound: float) -> Verdict:
    return Verdict(rule, found is not None and found >= bound, found, f"at least {bound:g}")


def _at_most(rule: str, found: float | None, bound: float) -> Verdict:
    return Verdict(rule, found is not None and found <= bound, found, f"at most {bound:g}")
