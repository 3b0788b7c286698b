"""Turn TOML and JSON into frozen dataclasses, strictly, and back.

An unknown key, a missing key or a value of the wrong type is a ConfigError that names the
file, the place in it and the keys that are known there.
"""

import dataclasses
import enum
import functools
import json
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from harness import files
from harness.errors import ConfigError
from harness.text import meant

T = TypeVar("T")


def load_toml(cls: type[T], path: Path) -> T:
    """Read a TOML file into a frozen dataclass.

    Raises:
        ConfigError: the file is missing, is not TOML or does not fit the dataclass.
    """
    text = _read(path)
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path}: not valid TOML: it is nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    _check_printable(data, str(path))
    return _parse_file(cls, data, path)


def _check_printable(data: object, where: str) -> None:
    """Refuse control characters and line ends in what a person wrote to be shown."""
    if isinstance(data, str) and not data.isprintable():
        raise ConfigError(f"{where}: {data!r:.80} holds a character that cannot be printed")
    if isinstance(data, Mapping):
        for key, value in data.items():
            _check_printable(key, where)
            _check_printable(value, f"{where}: {key}")
    elif isinstance(data, list):
        for number, value in enumerate(data):
            _check_printable(value, f"{where}[{number}]")


def load_json(cls: type[T], path: Path) -> T:
    """Read a JSON file into a frozen dataclass.

    Raises:
        ConfigError: the file is missing, is not JSON or does not fit the dataclass.
    """
    text = _read(path)
    try:
        data = json.loads(text)
    except RecursionError:
        raise ConfigError(f"{path}: not valid JSON: it is nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid JSON: {error}") from None
    return _parse_file(cls, data, path)


def _parse_file(cls: type[T], data: object, path: Path) -> T:
    """Build a dataclass from a file that people keep: no number in it is infinite or NaN."""
    parsed = parse(cls, data, where=str(path))
    _refuse_non_finite(data, str(path))  # afterwards: what is parsed is not nested deeply
    return parsed


def _refuse_non_finite(data: object, where: str) -> None:
    """Refuse `inf` and `nan`, which as limit or spread would pass everything or nothing."""
    if isinstance(data, float) and not math.isfinite(data):
        raise ConfigError(f"{where}: {data} is no number to judge by; write a finite one")
    if isinstance(data, Mapping):
        for key, item in data.items():
            _refuse_non_finite(item, f"{where}: {key}")
    if isinstance(data, list):
        for index, item in enumerate(data):
            _refuse_non_finite(item, f"{where}[{index}]")


def _read(path: Path) -> str:
    if not path.exists():
        raise ConfigError(f"{path}: no such file")
    return files.read_text(path, error=ConfigError)


def parse(cls: type[T], data: object, *, where: str) -> T:
    """Build a dataclass from plain mappings, lists and scalars.

    Args:
        cls: The dataclass.
        data: What TOML or JSON gave.
        where: Names the place in error messages, such as `pixel4.toml: cpu.clusters[1]`.

    Raises:
        ConfigError: a key is unknown or missing, or a value has the wrong type.
    """
    value: T = _convert(cls, data, where)
    return value


def dump(value: object) -> Any:
    """Turn dataclasses, enums, tuples and paths into what JSON can hold; leaves out None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {name: dump(item) for name, item in pairs if item is not None}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): dump(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [dump(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    return value


@functools.cache
def _fields(cls: type) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the types of a dataclass's fields and the names of the required ones."""
    hints = typing.get_type_hints(cls)
    fields = [f for f in dataclasses.fields(cls) if f.init]
    required = frozenset(
        f.name
        for f in fields
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    )
    return {f.name: hints[f.name] for f in fields}, required


def _convert(kind: Any, data: object, where: str) -> Any:
    origin = typing.get_origin(kind)
    if kind is Any or kind is object:
        return data
    if origin in (typing.Union, types.UnionType):
        return _convert_optional(kind, data, where)
    if origin is tuple:
        return _convert_tuple(kind, data, where)
    if origin in (dict, Mapping):
        if not isinstance(data, Mapping):
            raise ConfigError(f"{where}: expected a table, found {_name(data)}")
        key_kind, value_kind = typing.get_args(kind)
        return {
            _key(key_kind, k, where): _convert(value_kind, v, f"{where}.{k}")
            for k, v in data.items()
        }
    if dataclasses.is_dataclass(kind):
        return _convert_dataclass(typing.cast(type, kind), data, where)
    return _convert_scalar(kind, data, where)


def _key(kind: Any, data: object, where: str) -> str | int:
    """Return the key of a table; JSON writes whole numbers as text."""
    if kind is not int:
        return str(data)
    try:
        return int(str(data))
    except ValueError:
        raise ConfigError(f"{where}: expected a whole number as key, found {_name(data)}") from None


def _convert_optional(kind: Any, data: object, where: str) -> Any:
    choices = [c for c in typing.get_args(kind) if c is not type(None)]
    if data is None and len(choices) < len(typing.get_args(kind)):
        return None
    if len(choices) == 1:
        return _convert(choices[0], data, where)
    for choice in choices:
        if isinstance(data, choice) and not (isinstance(data, bool) and choice is not bool):
            return data
    if float in choices and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    names = " or ".join(c.__name__ for c in choices)
    raise ConfigError(f"{where}: expected {names}, found {_name(data)}")


def _convert_tuple(kind: Any, data: object, where: str) -> tuple[Any, ...]:
    if not isinstance(data, (list, tuple)):
        raise ConfigError(f"{where}: expected a list, found {_name(data)}")
    args = typing.get_args(kind)
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_convert(args[0], v, f"{where}[{i}]") for i, v in enumerate(data))
    if len(args) != len(data):
        raise ConfigError(f"{where}: expected {len(args)} values, found {len(data)}")
    return tuple(
        _convert(arg, v, f"{where}[{i}]") for i, (arg, v) in enumerate(zip(args, data, strict=True))
    )


def _convert_dataclass(cls: type, data: object, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: expected a table, found {_name(data)}")
    kinds, required = _fields(cls)
    unknown = sorted(str(key) for key in data if key not in kinds)
    if unknown:
        known = ", ".join(sorted(kinds))
        close = meant(unknown[0], kinds) if len(unknown) == 1 else ""
        raise ConfigError(f"{where}: unknown key {', '.join(unknown)}; known keys: {known}{close}")
    missing = sorted(required - set(data))
    if missing:
        raise ConfigError(f"{where}: missing key {', '.join(missing)}")
    values = {key: _convert(kinds[key], item, f"{where}: {key}") for key, item in data.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _convert_scalar(kind: Any, data: object, where: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        try:
            return kind(data)
        except ValueError:
            values = [str(member.value) for member in kind]
            close = meant(data, values) if isinstance(data, str) else ""
            raise ConfigError(
                f"{where}: unknown value {data!r}; known: {', '.join(values)}{close}"
            ) from None
    if kind is Path and isinstance(data, str):
        return Path(data)
    if kind is float and isinstance(data, (int, float)) and not isinstance(data, bool):
        return float(data)
    if isinstance(kind, type) and type(data) is kind:
        return data
    raise ConfigError(f"{where}: expected {getattr(kind, '__name__', kind)}, found {_name(data)}")


def _name(data: object) -> str:
    return "nothing" if data is None else f"{type(data).__name__} {data!r:.40}"


def json_schema(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of what `dump` makes of a type.

    Args:
        kind: A dataclass, an enum, a scalar, a tuple, a mapping, or a union of scalars.
    """
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        choices = [json_schema(c) for c in typing.get_args(kind) if c is not type(None)]
        return choices[0] if len(choices) == 1 else {"anyOf": choices}
    if origin is tuple:
        return {"type": "array", "items": json_schema(typing.get_args(kind)[0])}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": json_schema(typing.get_args(kind)[1])}
    if dataclasses.is_dataclass(kind):
        fields, required = _fields(typing.cast(type, kind))
        return {
            "type": "object",
            "properties": {name: json_schema(item) for name, item in fields.items()},
            "required": sorted(required),
            "additionalProperties": False,
        }
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [item.value for item in kind]}
    return {} if kind in (Any, object) else {"type": _JSON_TYPES[kind]}


_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", Path: "string"}
