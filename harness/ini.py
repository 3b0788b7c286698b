"""The project's pytest configuration, for commands that run without pytest.

Every `harness` command reads the ini keys that `pytest --device` reads, from the same file.
"""

import os
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import iniconfig

from harness import files
from harness.errors import ConfigError

_SECTIONS = {
    "pytest.toml": "pytest",
    ".pytest.toml": "pytest",
    "pytest.ini": "pytest",
    ".pytest.ini": "pytest",
    "pyproject.toml": "tool.pytest",
    "tox.ini": "pytest",
    "setup.cfg": "tool:pytest",
}
"""Names of files in the order in which pytest looks for them, and the section that it reads."""


@dataclass(frozen=True, kw_only=True)
class Ini:
    """The keys of one configuration file.

    Attributes:
        folder: Folder that relative paths start from.
        values: Text, or a list where the file is TOML, by key.
    """

    folder: Path
    values: Mapping[str, object] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a key such as `golden_dir`, or `harness_golden_dir` where that is set, or ''."""
        value = self._value(name)
        return value if isinstance(value, str) else ""

    def lines(self, name: str) -> tuple[str, ...]:
        """Return a key that holds a value a line, or a list."""
        value = self._value(name)
        entries = value.splitlines() if isinstance(value, str) else value
        texts = entries if isinstance(entries, Sequence) else ()
        return tuple(str(text).strip() for text in texts if str(text).strip())

    def paths(self, name: str) -> tuple[Path, ...]:
        """Return a key that holds paths, separated as in a shell, or a list."""
        value = self._value(name)
        try:
            names = shlex.split(value) if isinstance(value, str) else self.lines(name)
        except ValueError as error:
            raise ConfigError(f"{self.folder}: ini key {name}: {error}") from None
        return tuple(self.folder / path for path in names)

    def _value(self, name: str) -> object:
        return self.values.get(f"harness_{name}") or self.values.get(name)


def of_project(folder: Path | None = None) -> Ini:
    """Read the configuration that pytest would use when started in a folder, default here.

    Raises:
        ConfigError: the file cannot be read.
    """
    start = folder or Path.cwd()
    bare: Path | None = None
    for folder in (start, *start.parents):
        for name, section in _SECTIONS.items():
            path = folder / name
            if not path.is_file():
                continue
            values = _section(path, section)
            if values is not None:
                return Ini(folder=folder, values=values)
            if name == "pyproject.toml":
                bare = bare or folder
    return Ini(folder=bare or start)


def _section(path: Path, section: str) -> Mapping[str, object] | None:
    """Return what a file says to pytest, or None where it is not pytest's file."""
    text = files.read_text(path, error=ConfigError)
    if path.suffix == ".toml":
        try:
            data: object = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from None
        for key in section.split("."):
            data = data.get(key) if isinstance(data, dict) else None
        if isinstance(data, dict):
            options = data.get("ini_options", data)
            return options if isinstance(options, dict) else None
    else:
        try:
            parsed = iniconfig.IniConfig(str(path), data=text)
        except iniconfig.ParseError as error:
            raise ConfigError(f"{path}: not a valid ini file: {error}") from None
        if section in parsed:
            return dict(parsed[section].items())
    return {} if path.name.lstrip(".") in ("pytest.ini", "pytest.toml") else None


def golden_dir() -> Path:
    """Return the folder of subjects that pytest would read when started here."""
    ini = of_project()
    named = ini.text("golden_dir")
    return Path(os.path.relpath(ini.folder / named)) if named else Path("golden")
