"""The gate: every rule, at its bound and just beyond."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemaloop.registry.gate import GateRules, Scores, Unpruned, judge, refusals

RULES = GateRules(
    macro_sensitivity_low=0.9,
    drop_from_champion=0.02,
    drop_from_float=0.01,
    calibration_error_low=0.05,
    worst_subgroup=0.8,
    bytes=500_000,
    latency_ratio_to_float=1.0,
    prune_saves=0.05,
)
GOOD = Scores(
    macro_sensitivity=0.95,
    macro_sensitivity_low=0.92,
    untested_classes=0,
    calibration_error_low=0.0,
    worst_subgroup=0.85,
    bytes=400_000,
    latency_ms=2.0,
    float_macro_sensitivity=0.955,
    float_latency_ms=4.0,
    champion_macro_sensitivity=0.96,
    unpruned=Unpruned(bytes=600_000, latency_ms=3.0),
)


def refused(**changes: Any) -> list[str]:
    return [verdict.rule for verdict in refusals(judge(dataclasses.replace(GOOD, **changes), RULES))]


def test_a_good_candidate_passes_every_rule() -> None:
    assert refused() == []


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("untested_classes", {"untested_classes": 1}),
        ("macro_sensitivity_low", {"macro_sensitivity_low": 0.899}),
        ("drop_from_float", {"float_macro_sensitivity": 0.961}),
        ("drop_from_champion", {"champion_macro_sensitivity": 0.971}),
        ("calibration_error_low", {"calibration_error_low": 0.051}),
        ("calibration_error_low", {"calibration_error_low": None}),
        ("worst_subgroup", {"worst_subgroup": 0.799}),
        ("bytes", {"bytes": 500_001}),
        ("latency_ratio_to_float", {"latency_ms": 4.01}),
        ("prune_pays", {"unpruned": Unpruned(421_000, 2.1)}),
    ],
)
def test_each_rule_is_named_when_it_alone_fails(rule: str, changes: dict[str, Any]) -> None:
    assert refused(**changes) == [rule]


@pytest.mark.parametrize(
    "changes",
    [
        {"macro_sensitivity_low": 0.9},
        {"float_macro_sensitivity": 0.96},
        {"champion_macro_sensitivity": 0.97},
        {"calibration_error_low": 0.05},
        {"worst_subgroup": 0.8},
        {"worst_subgroup": None},
        {"bytes": 500_000},
        {"latency_ms": 4.0},
        {"unpruned": Unpruned(400_000, 2.0 / 0.95)},
        {"unpruned": Unpruned(421_053, 2.0)},
    ],
)
def test_each_bound_itself_passes(changes: dict[str, float]) -> None:
    assert refused(**changes) == []


def test_what_could_not_be_measured_is_refused() -> None:
    assert refused(macro_sensitivity=None, macro_sensitivity_low=None) == [
        "macro_sensitivity_low",
        "drop_from_float",
        "drop_from_champion",
    ]


def test_the_first_candidate_has_no_champion_to_beat() -> None:
    assert refused(champion_macro_sensitivity=None) == []


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_better_score_is_never_refused_where_a_worse_one_passes(one: float, other: float) -> None:
    worse, better = sorted((one, other))
    scores = [
        dataclasses.replace(GOOD, macro_sensitivity=value, macro_sensitivity_low=value) for value in (worse, better)
    ]
    refused_worse, refused_better = ({v.rule for v in refusals(judge(score, RULES))} for score in scores)
    assert refused_better <= refused_worse


COSTS = st.tuples(st.integers(1, 10**8), st.floats(0.01, 1e4))


@given(unpruned=COSTS, shipped=COSTS, saves=st.floats(0.001, 1))
def test_pruning_pays_only_if_the_shipped_file_got_smaller_or_faster(
    unpruned: tuple[int, float], shipped: tuple[int, float], saves: float
) -> None:
    scores = dataclasses.replace(GOOD, bytes=shipped[0], latency_ms=shipped[1], unpruned=Unpruned(*unpruned))
    refused_rules = {v.rule for v in refusals(judge(scores, dataclasses.replace(RULES, prune_saves=saves)))}
    neither = shipped[0] >= unpruned[0] and shipped[1] >= unpruned[1]
    much = any(now <= before * (1 - saves) * 0.999 for now, before in zip(shipped, unpruned, strict=True))
    assert not (neither and "prune_pays" not in refused_rules)
    assert not (much and "prune_pays" in refused_rules)


def test_where_nothing_was_pruned_nothing_has_to_pay() -> None:
    assert refused(unpruned=None) == []
