"""Tests of `--serial`."""

import pytest


@pytest.mark.slow  # a phone that was unplugged has 15 s to come back
def test_a_serial_that_is_not_attached_never_passes_where_a_phone_is_demanded(
    project: pytest.Pytester,
) -> None:
    result = project.runpytest(
        "--device=pixel4", "--origin=phone", "--serial=NO-SUCH-PHONE", "test_fallback.py"
    )

    assert result.ret != pytest.ExitCode.OK
    assert "passed" not in result.parseoutcomes()


def test_a_serial_without_a_value_is_a_usage_error(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--device=pixel4", "--serial")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
