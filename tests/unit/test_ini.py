"""Every harness command reads the project's ini keys."""

import os
import shutil
from pathlib import Path

import pytest

from harness import ini, profiles
from harness.errors import ConfigError
from tests import tiny

_FILES = {
    "pytest.ini": "[pytest]\ngolden_dir = mine/golden\nprofile_dirs = a 'b c'\n",
    "tox.ini": "[tox]\n[pytest]\ngolden_dir = mine/golden\nprofile_dirs = a 'b c'\n",
    "setup.cfg": "[tool:pytest]\ngolden_dir = mine/golden\nprofile_dirs = a 'b c'\n",
    "pyproject.toml": "[tool.pytest.ini_options]\ngolden_dir = 'mine/golden'\n"
    "profile_dirs = ['a', 'b c']\n",
    "pytest.toml": "[pytest]\ngolden_dir = 'mine/golden'\nprofile_dirs = ['a', 'b c']\n",
}


@pytest.mark.parametrize("name", _FILES)
def test_keys_are_those_that_pytest_reads_itself(
    pytester: pytest.Pytester, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pytester.path / name).write_text(_FILES[name], encoding="utf-8")
    below = pytester.mkdir("below")
    monkeypatch.chdir(below)

    found = ini.of_project()
    config = pytester.parseconfig()

    assert found.text("golden_dir") == config.getini("golden_dir") == "mine/golden"
    assert list(found.paths("profile_dirs")) == config.getini("profile_dirs")
    assert found.folder == pytester.path
    assert ini.golden_dir() == Path(os.pardir, "mine", "golden")


def test_the_prefixed_key_goes_first(tmp_path: Path) -> None:
    text = "[pytest]\ngolden_dir = true\nharness_golden_dir = ours\n"
    (tmp_path / "pytest.ini").write_text(text, encoding="utf-8")

    assert ini.of_project(tmp_path).text("golden_dir") == "ours"


def test_a_file_that_says_nothing_to_pytest_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\ngolden_dir = above\n", encoding="utf-8")
    below = tmp_path / "below"
    below.mkdir()
    (below / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    (below / "tox.ini").write_text("[tox]\n", encoding="utf-8")

    found = ini.of_project(below)

    assert (found.text("golden_dir"), found.folder) == ("above", tmp_path)


def test_a_damaged_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pytest", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"pyproject\.toml: not valid TOML"):
        ini.of_project(tmp_path)


def test_commands_find_the_subjects_and_phones_that_pytest_finds(
    blessed_golden: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(blessed_golden, tmp_path / "mine" / "golden")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\ngolden_dir = mine/golden\nprofile_dirs = phones\n", encoding="utf-8"
    )
    profile = (profiles.shipped_folder() / "pixel4.toml").read_text(encoding="utf-8")
    (tmp_path / "phones").mkdir()
    (tmp_path / "phones" / "ours.toml").write_text(
        profile.replace('name = "pixel4"', 'name = "ours"'), encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)

    code = tiny.command("bless", tiny.NAME, "--device", "ours:cpu", "--yes")

    assert code == 0, capsys.readouterr().err
    assert "ours" in (tmp_path / "mine" / "golden" / tiny.NAME / "baselines.json").read_text(
        encoding="utf-8"
    )
