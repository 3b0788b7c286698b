"""Tests of the ini key `golden_dir`."""

import pytest


def test_subjects_are_found_in_the_named_folder(project: pytest.Pytester) -> None:
    (project.path / "golden").rename(project.path / "blessed")
    project.makeini("[pytest]\ngolden_dir = blessed\n")

    result = project.runpytest("--device=pixel4", "test_fallback.py")

    result.assert_outcomes(passed=2)


def test_the_folder_stands_beside_the_ini_file(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makeini("[pytest]\ngolden_dir = golden\n")
    below = project.mkdir("below")
    monkeypatch.chdir(below)

    result = project.runpytest("--device=pixel4", f"--rootdir={project.path}", "test_fallback.py")

    result.assert_outcomes(passed=2)


def test_a_folder_that_is_missing_is_one_line_with_the_remedy(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ngolden_dir = nowhere\n")

    result = pytester.runpytest("--device=pixel4")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *nowhere: no such folder of subjects*harness init*"])


def test_a_wrong_subject_file_is_one_line_that_names_the_known_keys(
    project: pytest.Pytester,
) -> None:
    toml = project.path / "golden" / "unet" / "subject.toml"
    toml.write_text("speed = 1\n" + toml.read_text(encoding="utf-8"), encoding="utf-8")

    result = project.runpytest("--device=pixel4")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *subject.toml: unknown key speed; known keys: *budgets*"])
