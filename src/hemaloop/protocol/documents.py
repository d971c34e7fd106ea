"""Frozen dataclasses to JSON and back, strictly: an unknown or missing field is an error."""

import dataclasses
import functools
import json
import types
import typing
from datetime import datetime
from typing import Any, TypeVar

from hemaloop.errors import DataError

Document = TypeVar("Document")

_hints = functools.cache(typing.get_type_hints)  # resolving them takes longer than all the rest


def encode(document: Any) -> bytes:
    """Canonical JSON: sorted keys, UTF-8, no spaces, ISO 8601 times."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain).encode()


def decode(data: bytes, cls: type[Document]) -> Document:
    """Raises: DataError: it is not JSON, or its fields are not those of `cls`."""
    try:
        values = json.loads(data)
    except ValueError as error:
        raise DataError(f"{cls.__name__}: not JSON: {error}") from error
    return build(values, cls)


def build(values: Any, cls: type[Document]) -> Document:
    """A `cls` from parsed JSON. Raises: DataError."""
    if not isinstance(values, dict):
        raise DataError(f"{cls.__name__}: wanted a JSON object, got {type(values).__name__}")
    hints = _hints(cls)  # type: ignore[arg-type]
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    unknown = sorted(set(values) - {field.name for field in fields})
    missing = [
        field.name
        for field in fields
        if field.name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if unknown or missing:
        raise DataError(f"{cls.__name__}: unknown fields {unknown}, missing fields {missing}")
    return cls(**{name: _value(value, hints[name], f"{cls.__name__}.{name}") for name, value in values.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return vars(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _value(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        if value is None and type(None) in args:
            return None
        return _value(value, next(arg for arg in args if arg is not type(None)), where)
    if dataclasses.is_dataclass(hint):
        return build(value, hint)  # type: ignore[arg-type]
    if origin is tuple and isinstance(value, list):
        return tuple(_value(item, args[0], where) for item in value)
    if origin is dict and isinstance(value, dict):
        return {str(key): _value(item, args[1], f"{where}.{key}") for key, item in value.items()}
    if hint is datetime and isinstance(value, str):
        return _time(value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise DataError(f"{where}: wanted {getattr(hint, '__name__', hint)}, got {value!r}")


def _time(value: str, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(value)
    except ValueError as error:
        raise DataError(f"{where}: wanted an ISO 8601 time, got {value!r}") from error
    if time.tzinfo is None:
        raise DataError(f"{where}: {value!r} has no time zone")
    return time
