"""A wrong setting or parameter stops with a message that names it and says what to do."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from hemaloop.config import bucket_url, check, read_params, read_section, read_settings
from hemaloop.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    share: float = 0.5


@dataclass(frozen=True)
class Section:
    count: int
    share: float
    names: tuple[str, ...]
    inner: Inner
    bound: int | None = None

    def __post_init__(self) -> None:
        check(self.count > 0, f"count {self.count}: wanted more than 0")


GOOD = "part: {count: 3, share: 1, names: [a, b], inner: {share: 0.25}}"


def read(tmp_path: Path, text: str) -> Section:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return read_section(path, "part", Section)


def test_a_section_becomes_a_value(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD) == Section(3, 1.0, ("a", "b"), Inner(0.25))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("other: {}", "section 'part' is missing"),
        ("part: 3", "wanted a mapping"),
        (GOOD.replace("count: 3, ", ""), "count missing"),
        (GOOD.replace("count", "amount"), "unknown amount; known are count"),
        (GOOD.replace("count: 3", "count: three"), "part.count: wanted int, got 'three'"),
        (GOOD.replace("count: 3", "count: true"), "part.count: wanted int, got True"),
        (GOOD.replace("count: 3", "count: -1"), "count -1: wanted more than 0"),
        (GOOD.replace("share: 0.25", "share: a"), "part.inner.share: wanted float, got 'a'"),
        (GOOD.replace("[a, b]", "[a, 1]"), r"part.names\[1\]: wanted str, got 1"),
        ("part: [", "is not YAML"),
        ("- part", "wanted a mapping of sections"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read(tmp_path, text)


def test_params_that_are_not_there_say_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run this in a clone"):
        read_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("url", ["", "hemaloop", "http://x", "file://relative"])
def test_no_bucket_and_a_wrong_bucket_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="file:///FOLDER"):
        bucket_url(read_settings({"HEMALOOP_BUCKET": url}))


@pytest.mark.parametrize("url", ["s3://name", "file:///tmp/x", "embedded"])
def test_the_three_kinds_of_bucket_are_taken(url: str) -> None:
    assert bucket_url(read_settings({"HEMALOOP_BUCKET": url})) == url


def test_everything_else_lies_below_home_by_default(tmp_path: Path) -> None:
    settings = read_settings({"HEMALOOP_HOME": str(tmp_path)})
    assert settings.ledger == f"sqlite:///{tmp_path}/ledger.db"
    assert settings.mlflow == f"sqlite:///{tmp_path}/mlflow.db"
    assert settings.workspace.is_relative_to(tmp_path)
    assert settings.keys.is_relative_to(tmp_path)


def test_the_projects_own_params_can_be_read() -> None:
    assert len(read_params(Path(__file__).parents[2] / "params.yaml")["classes"]) == 5


PRESETS = {
    "paper": "part: {count: 5, names: [c], inner: {share: 0.75}}",
    "list": "- part",
}


def with_preset(tmp_path: Path, preset: str) -> Path:
    folder = tmp_path / "papers" / "presets"
    folder.mkdir(parents=True)
    for name, text in PRESETS.items():
        (folder / f"{name}.yaml").write_text(text)
    path = tmp_path / "params.yaml"
    path.write_text(f"{GOOD}\npreset: {preset}")
    return path


def test_a_preset_is_laid_over_key_by_key_and_none_changes_nothing(tmp_path: Path) -> None:
    path = with_preset(tmp_path, "paper")
    assert read_section(path, "part", Section) == Section(5, 1.0, ("c",), Inner(0.75))
    for name in ("none", "''"):
        path.write_text(f"{GOOD}\npreset: {name}")
        assert read_section(path, "part", Section) == Section(3, 1.0, ("a", "b"), Inner(0.25))


@pytest.mark.parametrize(
    ("preset", "told"),
    [("other", "there is no 'other' in .*; known are: list, paper"), ("list", "wanted a mapping of sections")],
)
def test_a_preset_that_cannot_be_read_is_named(tmp_path: Path, preset: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_params(with_preset(tmp_path, preset))
