"""Settings (where things are, from the environment) and parameters (what to do, from params.yaml)."""

import dataclasses
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hemaloop.errors import ConfigError

EMBEDDED = "embedded"
PRESET = "preset"  # the key of params.yaml that names a file of PRESETS, beside params.yaml
PRESETS = Path("papers/presets")
NO_PRESET = "none"  # an empty file of that name is there for DVC, whose stages name the preset's file

Section = TypeVar("Section")


@dataclass(frozen=True)
class Settings:
    """Where this installation keeps things. Everything but the bucket has a default below `home`."""

    home: Path
    bucket: str  # s3://name, file:///folder or "embedded"; "" where none is set
    ledger: str  # SQLAlchemy URL
    repository: str  # git URL that the bot clones and pushes to
    workspace: Path  # the bot's own clone
    mlflow: str  # MLflow tracking URI
    keys: Path  # the online keys: snapshot, timestamp, channels
    docs: str  # URL under which people read the Data Docs
    dask: str  # address of a Dask scheduler whose workers measure; "" for this process


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read HEMALOOP_* from the environment; `bucket_url` judges the bucket, where one is needed."""
    home = Path(environ.get("HEMALOOP_HOME", ".hemaloop")).absolute()
    return Settings(
        home=home,
        bucket=environ.get("HEMALOOP_BUCKET", "").rstrip("/"),
        ledger=environ.get("HEMALOOP_LEDGER", f"sqlite:///{home}/ledger.db"),
        repository=environ.get("HEMALOOP_REPOSITORY", str(Path.cwd())),
        workspace=Path(environ.get("HEMALOOP_WORKSPACE", home / "workspace")).absolute(),
        mlflow=environ.get("HEMALOOP_MLFLOW", f"sqlite:///{home}/mlflow.db"),
        keys=Path(environ.get("HEMALOOP_KEYS", home / "keys" / "online")).absolute(),
        docs=environ.get("HEMALOOP_DOCS", (home / "docs").as_uri()).rstrip("/"),
        dask=environ.get("HEMALOOP_DASK", ""),
    )


def bucket_url(settings: Settings) -> str:
    """The bucket that is set.

    Raises:
        ConfigError: HEMALOOP_BUCKET is missing or is no s3://, file:// or "embedded".
    """
    url = settings.bucket
    if not url:
        raise ConfigError(
            "no bucket is set: set HEMALOOP_BUCKET to s3://NAME, to file:///FOLDER, "
            f"or to '{EMBEDDED}' for a server of our own on this machine"
        )
    if url != EMBEDDED and not url.startswith(("s3://", "file:///")):
        raise ConfigError(f"HEMALOOP_BUCKET: wanted s3://NAME, file:///FOLDER or '{EMBEDDED}', got {url!r}")
    return url


def read_params(path: Path) -> dict[str, Any]:
    """Read a whole params.yaml; where it names a preset, papers/presets/<preset>.yaml beside it is laid over it.

    Raises:
        ConfigError: it, or the preset, is not there, or is no YAML mapping.
    """
    try:
        params = read_mapping(path)
    except FileNotFoundError:
        raise ConfigError(f"{path} is not there: run this in a clone of the project, where params.yaml is") from None
    preset = params.get(PRESET, NO_PRESET)
    if preset in ("", NO_PRESET):
        return params
    folder = path.parent / PRESETS
    try:
        return lay_over(params, read_mapping(folder / f"{preset}.yaml"))
    except FileNotFoundError:
        known = ", ".join(sorted(each.stem for each in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"{path}: {PRESET}: there is no {preset!r} in {folder}; known are: {known}") from None


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML file that is a mapping. Raises: FileNotFoundError; ConfigError: it is something else."""
    import yaml  # not on a device

    try:
        # C where PyYAML was built with it: ten times as quick, and every step reads its parameters.
        values = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: wanted a mapping of sections, got {type(values).__name__}")
    return values


def lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with what `above` says: mappings are joined key by key, anything else is replaced."""
    joined = dict(below)
    for key, value in above.items():
        known = joined.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        joined[key] = lay_over(known, value) if both else value  # type: ignore[arg-type]
    return joined


def read_section(path: Path, name: str, cls: type[Section]) -> Section:
    """Read one section of params.yaml into the frozen dataclass `cls`.

    Raises:
        ConfigError: a key is missing, unknown, of the wrong type, or refused by `cls` itself.
    """
    params = read_params(path)
    if name not in params:
        raise ConfigError(f"{path}: section {name!r} is missing")
    return parse_section(params[name], f"{path}: {name}", cls)


def read_classes(path: Path) -> tuple[str, ...]:
    """The labels that params.yaml knows, in the order that models answer in.

    Raises:
        ConfigError: there is no list of at least two different names.
    """
    classes = read_params(path).get("classes")
    if (
        not isinstance(classes, list)
        or not all(isinstance(name, str) and name for name in classes)
        or not 2 <= len(set(classes)) == len(classes)
    ):
        raise ConfigError(f"{path}: classes: wanted a list of at least two different names, got {classes!r}")
    return tuple(classes)


def parse_section(values: Any, where: str, cls: type[Section]) -> Section:
    """Check a mapping against the fields of `cls`, and build it; nested dataclasses too."""
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: wanted a mapping, got {values!r}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ConfigError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(fields)}")
    missing = [
        name
        for name, field in fields.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}: {', '.join(missing)} missing")
    try:
        return cls(**{name: _value(value, f"{where}.{name}", hints[name]) for name, value in values.items()})
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _value(value: Any, where: str, hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return parse_section(value, where, hint)  # type: ignore[arg-type]
    if origin is types.UnionType:
        if value is None and type(None) in args:
            return None
        return _value(value, where, next(arg for arg in args if arg is not type(None)))
    if origin is tuple and isinstance(value, list):
        return tuple(_value(item, f"{where}[{index}]", args[0]) for index, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {str(key): _value(item, f"{where}.{key}", args[1]) for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Any or (isinstance(hint, type) and type(value) is hint):
        return value
    raise ConfigError(f"{where}: wanted {getattr(hint, '__name__', hint)}, got {value!r}")


def check(holds: bool, message: str) -> None:
    """Refuse a parameter from a dataclass's `__post_init__`; `parse_section` says which one."""
    if not holds:
        raise ValueError(message)
