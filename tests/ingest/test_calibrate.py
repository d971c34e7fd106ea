"""Thresholds learned from good images let good images pass and keep bad ones out; only their lines change."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_site import PARAMS
from sqlalchemy import insert

from hemaloop.cli import parser
from hemaloop.config import read_section
from hemaloop.errors import ConfigError, DataError
from hemaloop.imaging import faults
from hemaloop.imaging.decode import encode_jpeg
from hemaloop.imaging.measure import Measures, measure
from hemaloop.imaging.smear import CLASSES, Slide, draw
from hemaloop.ingest.calibration import FEWEST, LEARNED, LEFT_OUT, Values, learn
from hemaloop.ingest.good_images import from_folder, from_ledger, grouped
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.overriding import write_ranges
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.states import State
from hemaloop.ingest.thresholds import QUALITIES, Thresholds, thresholds_for
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import sidecar_key
from hemaloop.protocol.sidecar import Sidecar

GENERAL = read_section(PARAMS, "validate", Thresholds)
KNOWN = {measure_: getattr(GENERAL, measure_) for measure_ in LEARNED}
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@cache
def smears() -> tuple[bytes, ...]:
    """Two images of each of many slides."""
    return tuple(encode_jpeg(draw(CLASSES[n % 5], Slide.of(n // 2), n)) for n in range(FEWEST + 20))


def values(data: bytes) -> Values:
    found = measure(data)
    return {name: float(getattr(found, name)) for name in QUALITIES}


def passes(ranges: dict[str, tuple[float, float]], image: Values) -> bool:
    return all(lowest <= image[name] <= highest for name, (lowest, highest) in ranges.items())


SPOILT = (faults.blur, faults.darken, faults.overexpose)


def test_what_synthetic_smears_teach_lets_new_ones_pass_and_refuses_what_is_spoilt() -> None:
    learned = learn([values(data) for data in smears()[:-10]], KNOWN)
    assert all(passes(learned.ranges, values(data)) for data in smears()[-10:])
    for spoil in SPOILT:
        assert not any(passes(learned.ranges, values(spoil(data))) for data in smears()[:5])


@pytest.mark.images
@pytest.mark.parametrize("spoil", SPOILT)
def test_what_real_fields_teach_refuses_what_is_spoilt(
    spoil: Callable[[bytes], bytes], test_images: Path, real_fields: list[Values]
) -> None:
    learned = learn(real_fields, KNOWN)
    assert sum(passes(learned.ranges, image) for image in real_fields) >= (1 - LEFT_OUT) * len(real_fields)
    for path in sorted((test_images / "bccd-fields/images").glob("*.jpg"))[:8]:
        assert not passes(learned.ranges, values(spoil(path.read_bytes())))


@pytest.fixture(scope="module")
def real_fields(test_images: Path) -> list[Values]:
    return [good.values for good in from_folder(test_images / "bccd-fields/images")[::4]]


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), count=st.integers(FEWEST, 300), skew=st.floats(0.05, 0.6), bad=st.integers(0, 2))
def test_every_good_image_passes_but_the_stated_share(seed: int, count: int, skew: float, bad: int) -> None:
    rng = np.random.default_rng(seed)
    columns = {name: rng.lognormal(-1.5, skew, count).clip(0, 1) for name in LEARNED} | {"clipped": np.zeros(count)}
    images = [{name: float(columns[name][n]) for name in LEARNED} for n in range(count)]
    for image in images[:bad]:
        image |= {"focus": image["focus"] / 1e4} if seed % 2 else {"clipped": 0.9}
    try:
        learned = learn(images, KNOWN)
    except DataError:
        assert skew > 0.15 or bad  # more odd ones than may be left out
        return
    left_out = {*learned.left_out}
    assert set(range(bad)) <= left_out
    assert len(left_out) <= LEFT_OUT * count
    assert all(passes(learned.ranges, image) for n, image in enumerate(images) if n not in left_out)
    assert learned.ranges["focus"][0] > 0.001
    assert learned.ranges["clipped"][1] < 0.5


def test_too_few_images_and_a_mixture_are_refused_with_what_to_do() -> None:
    one = dict.fromkeys(LEARNED, 0.5)
    with pytest.raises(DataError, match=r"49 images are too few .* wanted 50"):
        learn([one] * (FEWEST - 1), KNOWN)
    with pytest.raises(DataError, match=r"10 of 100 images are unlike the rest.*--by device or stain"):
        learn([one] * 90 + [one | {"brightness": 200.0}] * 10, KNOWN)


def test_only_the_learned_lines_of_params_change(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_bytes(PARAMS.read_bytes())
    write_ranges(params, None, {"": {"focus": (2.5, 31.0)}})
    before, after = (path.read_text().splitlines() for path in (PARAMS, params))
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    ((old, new),) = changed
    assert new.split() == ["focus:", "[2.5,", "31.0]", *old.split()[3:]]

    write_ranges(params, "device", {"pi-3": {"focus": (1.5, 20.0)}, "7": {"clipped": (0.0, 0.1)}})
    write_ranges(params, "stain", {"Giemsa": {"focus": (4.0, 9.0)}})
    write_ranges(params, "device", {"pi-3": {"brightness": (60.0, 90.0)}})
    kept = [line for line in params.read_text().splitlines() if line in after]
    assert len(kept) == len(after) - 2  # `devices: {}` and `stains: {}`
    found = read_section(params, "validate", Thresholds)
    limits = thresholds_for(found, "pi-3", "giemsa")
    assert (limits["focus"].lowest, limits["brightness"].lowest) == (1.5, 60.0)
    assert thresholds_for(found, "7", "giemsa")["focus"].lowest == 4.0


def test_ranges_that_make_no_sense_leave_the_file_as_it_is(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_bytes(PARAMS.read_bytes())
    with pytest.raises(ConfigError, match=r"stays as it is.*focus"):
        write_ranges(params, None, {"": {"focus": (9.0, 1.0)}})
    assert params.read_bytes() == PARAMS.read_bytes()


def test_the_command_learns_by_stain_from_sidecars_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, params = tmp_path / "good", tmp_path / "params.yaml"
    folder.mkdir()
    params.write_bytes(PARAMS.read_bytes())
    for number, data in enumerate(smears()):
        path = folder / f"{number}.jpg"
        path.write_bytes(data)
        said = Sidecar(hashlib.sha256(data).hexdigest(), "pi-1", NOW, stain="Giemsa")
        Path(sidecar_key(str(path))).write_bytes(encode(said))
    arguments = ["calibrate", str(folder), "--by", "stain", "--params", str(params)]
    for more in ([], ["--write"]):
        args = parser().parse_args([*arguments, *more])
        assert args.run(args) == 0
        told = capsys.readouterr().out
        assert "stain Giemsa: " in told
        assert ("nothing is written" in told) == (not more)
    assert "Giemsa" in read_section(params, "validate", Thresholds).overrides.stains
    (folder / "0.json").unlink()
    with pytest.raises(DataError, match=r"0\.jpg: no sidecar says its stain"):
        grouped(from_folder(folder), "stain")
    (folder / "1.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"1\.jpg: empty"):
        from_folder(folder)


def test_a_device_teaches_by_what_was_accepted_from_it_newest_first(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    states = [("pi-1", State.VERSIONED, 9.0), ("pi-1", State.ACCEPTED, 10.0), ("pi-1", State.QUARANTINED, 1.0)]
    states += [("pi-11", State.VERSIONED, 2.0), ("PI-1", State.VERSIONED, 3.0), ("pi-1", State.VERSIONED, 11.0)]
    with ledger.writing() as connection:
        for number, (device, state, focus) in enumerate(states):
            body = encode(Measures(1, "a", "jpeg", "", 640, 480, 3, focus=focus)).decode()
            row = {"bucket": "b", "key": f"uploads/{device}/2026/11/20/{number}.jpg", "etag": "e", "size": 1}
            connection.execute(insert(uploads).values(**row, modified=NOW, state=state, reason="", measures=body))
    assert [good.values["focus"] for good in from_ledger(ledger, "pi-1", 2)] == [10.0, 11.0]
    assert len(from_ledger(ledger, "pi-1", 9)) == 3
    with pytest.raises(DataError, match="device pi-7: the ledger has no accepted upload"):
        from_ledger(ledger, "pi-7", 9)
