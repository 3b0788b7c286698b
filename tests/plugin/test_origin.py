"""Tests of `--origin`."""

import pytest

from harness import results
from harness.verdict import Outcome

_ONE_TEST = "def test_it(device):\n    assert 'emulated' in device.fingerprint\n"


def test_emulated_never_looks_for_a_phone(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile(_ONE_TEST)

    result = pytester.runpytest("--device=pixel4", "--origin=emulated", path)

    result.assert_outcomes(passed=1)


def test_phone_without_a_phone_never_passes(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "--origin=phone", "test_fallback.py")

    assert result.ret != pytest.ExitCode.OK
    assert "passed" not in result.parseoutcomes()
    result.stdout.fnmatch_lines(["unet on pixel4:nnapi*", "DeviceError: *phone*"])
    result.stdout.no_fnmatch_line("*connect.py:*")
    records = list(results.load(results.latest(project.path)).records)
    assert {(r.verdict.metric, r.verdict.outcome) for r in records} == {
        ("error", Outcome.INCONCLUSIVE)
    }


def test_another_origin_is_a_usage_error_that_names_the_three(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--device=pixel4", "--origin=cloud")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*-origin*invalid choice: 'cloud'*auto*phone*emulated*"])
