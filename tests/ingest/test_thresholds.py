"""Which limits apply to an upload: its device's own, else its stain's, else the general ones."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_site import PARAMS

from hemaloop.config import parse_section, read_params, read_section
from hemaloop.errors import ConfigError
from hemaloop.ingest.rules import Rule
from hemaloop.ingest.thresholds import RANGES, Limits, Overrides, Thresholds, thresholds_for

GENERAL = read_section(PARAMS, "validate", Thresholds)

some_ranges = st.dictionaries(st.sampled_from(("focus", "brightness", "contrast")), st.just((1.0, 2.0)))


@given(of_device=some_ranges, of_stain=some_ranges, measure=st.sampled_from(RANGES))
def test_the_device_comes_before_the_stain_and_the_stain_before_what_is_general(
    of_device: dict[str, tuple[float, float]], of_stain: dict[str, tuple[float, float]], measure: str
) -> None:
    thresholds = replace(GENERAL, overrides=Overrides({"pi-3": of_device}, {"Giemsa": of_stain}))
    found = thresholds_for(thresholds, "pi-3", "GIEMSA")[measure]
    if measure in of_device:
        assert found == Limits(1.0, 2.0, f"validate.overrides.devices.pi-3.{measure}")
    elif measure in of_stain:
        assert found == Limits(1.0, 2.0, f"validate.overrides.stains.GIEMSA.{measure}")
    else:
        assert found.source == f"validate.{measure}"
        assert (found.lowest, found.highest) == tuple(getattr(GENERAL, measure))
    others = thresholds_for(thresholds, "pi-4", None)
    assert {limits.source for limits in others.values()} == {f"validate.{name}" for name in RANGES}


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"devices": {"pi-3": {"fokus": [1, 2]}}}, r"overrides.devices.pi-3.fokus: wanted one of sides_px"),
        ({"devices": {"pi-3": {"focus": [2, 1]}}}, r"overrides.devices.pi-3.focus \[2.0, 1.0\]"),
        ({"stains": {"giemsa": {"clipped": [0, 2]}}}, r"overrides.stains.giemsa.clipped .* shares"),
        ({"slides": {}}, "unknown slides"),
    ],
)
def test_an_override_that_makes_no_sense_is_named(overrides: dict[str, Any], named: str) -> None:
    values = read_params(PARAMS)["validate"] | {"overrides": overrides}
    with pytest.raises(ConfigError, match=named):
        parse_section(values, "params.yaml: validate", Thresholds)


def test_a_device_that_may_send_more_bytes_has_them_read() -> None:
    larger = replace(GENERAL, overrides=Overrides({"pi-3": {"bytes": (1024.0, 9e7)}}))
    assert (GENERAL.largest_bytes, larger.largest_bytes) == (GENERAL.bytes[1], 90_000_000)


def test_a_reason_tells_what_was_found_what_was_wanted_and_who_wanted_it() -> None:
    rule = Rule("too_dark", "brightness", threshold="brightness")
    told = rule.explain(12.345, Limits(80, 248, "validate.overrides.devices.pi-3.brightness"))
    assert told == "brightness 12.35, wanted at least 80 (validate.overrides.devices.pi-3.brightness)"
