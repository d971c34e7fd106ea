"""The simulated fleet: what the rule is worth against models that fail without crashing, over bad networks."""

from dataclasses import replace
from pathlib import Path

import pytest

from hemaloop.config import read_section
from hemaloop.release.rollout.parameters import Phase, RolloutParams
from hemaloop.release.rollout.rule import Mode
from hemaloop.release.simulation.faults import GOOD, MODELS, Model, Weather
from hemaloop.release.simulation.run import simulate

PARAMS = read_section(Path(__file__).parents[2] / "params.yaml", "rollout", RolloutParams)
DEVICES = 300
ROUGH = Weather(off=0.3, lost=0.4, late=0.5, late_hours=24.0, dies=0.01)


@pytest.mark.parametrize("model", [model for model in MODELS if model.bad], ids=lambda model: model.name)
def test_a_bad_model_comes_no_further_than_the_first_phase(model: Model) -> None:
    found = simulate(model, PARAMS, DEVICES, seed=3)
    assert found.mode in (Mode.TURNED_BACK, Mode.HALTED)
    assert found.percent == PARAMS.phases[0].percent
    assert found.ever <= DEVICES * 0.1
    assert found.history[-1].running == 0 or model.dies  # all that live went back


@pytest.mark.parametrize("weather", [Weather(), ROUGH], ids=["fair", "rough"])
def test_a_good_model_reaches_the_fleet(weather: Weather) -> None:
    found = simulate(GOOD, PARAMS, DEVICES, seed=3, weather=weather)
    assert (found.mode, found.percent) == (Mode.FINISHED, 100.0)
    assert found.ever > DEVICES * 0.9


def test_lost_and_late_reports_delay_what_is_found_but_do_not_hide_it() -> None:
    for model in (model for model in MODELS if model.name in ("errors", "slow", "one class")):
        found = simulate(model, PARAMS, DEVICES, seed=3, weather=ROUGH)
        assert found.mode in (Mode.TURNED_BACK, Mode.HALTED), model.name
        assert found.ever <= DEVICES * 0.35, model.name


def test_all_at_once_every_device_would_run_the_bad_model() -> None:
    at_once = replace(PARAMS, phases=(Phase(100.0, 3, 200, 24.0),))
    model = next(model for model in MODELS if model.name == "errors")
    staged, all_ = (simulate(model, params, DEVICES, seed=3) for params in (PARAMS, at_once))
    assert staged.ever < all_.ever / 5
    assert simulate(model, PARAMS, DEVICES, seed=3) == staged
