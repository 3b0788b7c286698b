"""Node ids of the shipped gates read well, are stable, and run one gate each."""

import pytest

_CASES = ("pixel4:nnapi-unet.fp32", "pixel4:nnapi-unet.int8_ptq")
_SIZED = {
    "test_fallback.py::test_every_op_stays_on_the_accelerator",
    "test_latency.py::test_an_inference_keeps_its_latency_budget",
    "test_regression.py::test_no_metric_is_worse_than_its_baseline",
}
_FRAMED = {
    "test_fidelity.py::test_output_stays_close_to_the_fp32_golden",
    "test_fidelity.py::test_output_keeps_its_quality_against_the_sharp_target",
}
_PLAIN = {"test_scaling.py::test_latency_grows_with_resolution_as_budgeted"}
EVERY_ID = {
    *(f"{test}[{case}-64x64]" for test in _SIZED for case in _CASES),
    *(f"{test}[{case}-{frame}]" for test in _FRAMED for case in _CASES for frame in "ab"),
    *(f"{test}[{case}]" for test in _PLAIN for case in _CASES),
}


def test_every_gate_has_its_id_and_there_is_no_other(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "--collect-only", "-q")

    assert {line for line in result.outlines if "::" in line} == EVERY_ID


@pytest.mark.parametrize("node_id", sorted(EVERY_ID))
def test_an_id_runs_that_one_gate(project: pytest.Pytester, node_id: str) -> None:
    result = project.runpytest("--device=pixel4", "-v", node_id)

    result.assert_outcomes(passed=1)
    assert f"{node_id} PASSED" in result.stdout.str()


def test_a_users_own_file_goes_before_a_shipped_gate_of_the_same_name(
    project: pytest.Pytester,
) -> None:
    project.makepyfile(test_latency="def test_mine():\n    assert True\n")

    result = project.runpytest("--device=pixel4", "-v", "test_latency.py")

    result.stdout.fnmatch_lines(["test_latency.py::test_mine PASSED*"])
    result.assert_outcomes(passed=1)


def test_an_unknown_id_is_a_usage_error(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "test_fallback.py::test_every_op[nothing]")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
