"""The most used pytest plugins and this one do not disturb each other.

They are installed apart, so that the project's own tests run without them: `make plugins` fills a
folder and names it in HARNESS_TEST_PLUGINS.
"""

import importlib.metadata
import os
from pathlib import Path

import pytest

from tests import rulings

_FOLDER = os.environ.get("HARNESS_TEST_PLUGINS", "")
_NAMES = (
    "asyncio", "benchmark", "check", "clarity", "cov", "django", "env", "forked", "html",
    "httpserver", "instafail", "metadata", "mock", "order", "picked", "playwright", "randomly",
    "repeat", "rerunfailures", "socket", "split", "subtests", "sugar", "timeout", "xdist",
)  # fmt: skip
_NEEDS = {"html": ("metadata",)}

pytestmark = pytest.mark.skipif(
    not _FOLDER, reason="needs other plugins: `make plugins` installs them and runs these tests"
)


@pytest.fixture(autouse=True)
def _beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", _FOLDER)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")


def _entry_points(name: str) -> list[str]:
    found = importlib.metadata.distributions(name=f"pytest-{name}", path=[_FOLDER])
    points = [p for dist in found for p in dist.entry_points if p.group == "pytest11"]
    assert points, f"pytest-{name} is not installed in {_FOLDER}"
    return [point.name for point in points]


def test_the_folder_holds_every_plugin_of_the_list() -> None:
    assert Path(_FOLDER).is_dir()
    assert all(_entry_points(name) for name in _NAMES)


def test_a_plain_run_beside_all_of_them_passes(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile("def test_it():\n    assert True\n")

    result = pytester.runpytest_subprocess(path)

    assert result.ret == 0
    result.stdout.no_fnmatch_line("device harness*")


def test_the_gates_rule_beside_all_of_them_as_without(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("--harness-device=pixel4")

    assert result.ret == 0
    rulings.assert_green(project.path)


@pytest.mark.parametrize("name", _NAMES)
def test_the_gates_rule_beside_each_of_them_as_without(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    points = [point for each in (*_NEEDS.get(name, ()), name) for point in _entry_points(each)]
    plugins = [part for point in ("device_harness", *points) for part in ("-p", point)]

    result = project.runpytest_subprocess(*plugins, "--harness-device=pixel4")

    assert result.ret == 0
    rulings.assert_green(project.path)
