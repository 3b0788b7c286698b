"""Tests of `--device`."""

import pytest

from tests import rulings

_ONE_TEST = "def test_it(device):\n    print('on', device.profile.name, device.delegate)\n"


def test_the_shipped_gates_run_green_on_a_blessed_subject(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4")

    assert result.ret == 0
    rulings.assert_green(project.path)


def test_a_name_alone_means_the_phones_default_delegate(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile(_ONE_TEST)

    result = pytester.runpytest("--device=pixel4", "-v", path)

    result.stdout.fnmatch_lines(["*::test_it[[]pixel4:nnapi[]] PASSED*"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--device=pixel4,reno3"],
        ["--device=pixel4", "--device=reno3"],
        ["--device= pixel4 , reno3,"],
        ["--device=pixel4,reno3,pixel4:nnapi"],
    ],
)
def test_lists_and_repeats_test_each_phone_once(
    pytester: pytest.Pytester, arguments: list[str]
) -> None:
    path = pytester.makepyfile(_ONE_TEST)

    result = pytester.runpytest(*arguments, "-v", path)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*[[]pixel4:nnapi[]] PASSED*", "*[[]reno3:nnapi[]] PASSED*"])


def test_a_delegate_may_be_named(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile(_ONE_TEST)

    result = pytester.runpytest("--device=pixel4:cpu,pixel4:gpu", "-v", path)

    result.stdout.fnmatch_lines(["*[[]pixel4:cpu[]] PASSED*", "*[[]pixel4:gpu[]] PASSED*"])


def test_a_pattern_tests_the_delegate_of_every_phone_that_has_it(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile(_ONE_TEST)

    result = pytester.runpytest("--device", "pixel[46]:cpu", "-v", path)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*[[]pixel4:cpu[]] PASSED*", "*[[]pixel6:cpu[]] PASSED*"])


def test_all_means_every_profile(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile(_ONE_TEST)

    result = pytester.runpytest("--device=all", "-v", path)

    ids = result.stdout.str()
    assert "[pixel4:" in ids
    assert "[mate30pro:" in ids
    assert "[reno3:" in ids


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("pixel5", "ERROR: no device profile 'pixel5'; known: *mate30pro, *pixel4, *reno3*"),
        ("pixel4:npu", "ERROR: pixel4 has no delegate 'npu'; known: nnapi, gpu, cpu, gpu-fp32"),
    ],
)
def test_an_unknown_name_ends_with_one_line_that_names_the_known_ones(
    pytester: pytest.Pytester, asked: str, message: str
) -> None:
    path = pytester.makepyfile(_ONE_TEST)

    result = pytester.runpytest(f"--device={asked}", path)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.stderr.lines if line]
    assert len(lines) == 1
    result.stderr.fnmatch_lines([message])


def test_a_list_of_nothing_is_a_usage_error(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile(_ONE_TEST)

    result = pytester.runpytest("--device=,", path)

    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_the_header_names_the_phones(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile(_ONE_TEST)

    result = pytester.runpytest("--device=pixel4,reno3", path)

    result.stdout.fnmatch_lines(["device harness: pixel4:nnapi, reno3:nnapi (origin auto)"])
