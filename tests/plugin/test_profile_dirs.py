"""Tests of the ini key `profile_dirs`."""

import pytest

from harness import profiles


def test_a_team_adds_its_own_phone(pytester: pytest.Pytester) -> None:
    shipped = (profiles.shipped_folder() / "pixel4.toml").read_text(encoding="utf-8")
    pytester.mkdir("phones").joinpath("ours.toml").write_text(
        shipped.replace('name = "pixel4"', 'name = "ours"', 1), encoding="utf-8"
    )
    pytester.makeini("[pytest]\nprofile_dirs = phones\n")
    path = pytester.makepyfile("def test_it(device):\n    assert device.profile.name == 'ours'\n")

    result = pytester.runpytest("--device=ours", path)

    result.assert_outcomes(passed=1)


def test_a_missing_folder_is_one_line(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nprofile_dirs = nowhere\n")

    result = pytester.runpytest("--device=pixel4")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *nowhere: no such folder of device profiles*"])


def test_a_profile_that_is_wrong_is_one_line_with_its_place(pytester: pytest.Pytester) -> None:
    pytester.mkdir("phones").joinpath("ours.toml").write_text("name = 3\n", encoding="utf-8")
    pytester.makeini("[pytest]\nprofile_dirs = phones\n")

    result = pytester.runpytest("--device=pixel4")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *ours.toml: missing key *"])
