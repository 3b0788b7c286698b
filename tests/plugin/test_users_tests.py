"""A user's own tests get the fixtures of the gates."""

import pytest

from tests import tiny

_OWN = """
from harness import fidelity, gate
from harness.metrics import Metric

COLOUR = Metric(gate="colour", name="max_error")

def test_colours_stay(device, variant, golden, check):
    output = device.run(variant, golden.frame)
    match = fidelity.compare(output.pixels, golden.fp32_output)
    check(gate.rule(COLOUR, match.max_error, LIMIT, output.provenance))
"""


def test_device_variant_golden_and_check_judge_each_variant_on_each_frame(
    project: pytest.Pytester,
) -> None:
    path = project.makepyfile(_OWN.replace("LIMIT", "1.0"))

    result = project.runpytest("--device=pixel4", "-v", path)

    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*test_colours_stay[[]pixel4:nnapi-unet.fp32-a[]] PASSED*"])


def test_a_broken_limit_fails_with_its_line(project: pytest.Pytester) -> None:
    path = project.makepyfile(_OWN.replace("LIMIT", "-1.0"))

    result = project.runpytest("--device=pixel4", path)

    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["FAIL colour: max_error *, at most -1 [[]HOST[]]"])


def test_a_missing_limit_is_inconclusive(project: pytest.Pytester) -> None:
    path = project.makepyfile(_OWN.replace("LIMIT", "None"))

    result = project.runpytest("--device=pixel4", path)

    assert result.parseoutcomes() == {"inconclusive": 4}


def test_a_check_of_nothing_is_inconclusive(project: pytest.Pytester) -> None:
    path = project.makepyfile("def test_it(device, variant, check):\n    check()\n")

    result = project.runpytest("--device=pixel4", path)

    assert result.parseoutcomes() == {"inconclusive": 2}


def test_an_own_gate_is_in_the_summary_and_has_a_column_in_the_whole_table(
    project: pytest.Pytester,
) -> None:
    path = project.makepyfile(_OWN.replace("LIMIT", "1.0"))

    short = project.runpytest("--device=pixel4", path)
    whole = project.runpytest("--device=pixel4", "-v", path)

    short.stdout.fnmatch_lines(["unet on pixel4:nnapi*", "Also kept by all: colour*"])
    whole.stdout.fnmatch_lines(["unet on pixel4:nnapi*", "*variant *colour*"])


def test_a_fail_outweighs_an_inconclusive_and_both_are_named(project: pytest.Pytester) -> None:
    path = project.makepyfile(
        "from harness import gate\n"
        "from harness.metrics import Metric\n"
        "from harness.verdict import Lack\n"
        "def test_it(device, variant, size, budget, check):\n"
        "    time = device.time(variant, size)\n"
        "    charge, ms = (Metric(gate='own', name=name) for name in ('charge', 'ms'))\n"
        "    check(gate.inconclusive(charge, Lack.FACT, 'no meter'),\n"
        "          gate.rule(ms, time.ms, 0.0, time.provenance))\n"
    )

    result = project.runpytest("--device=pixel4", path)

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["INCONCLUSIVE own: no meter", "FAIL own: ms *"])


def test_a_plain_test_beside_them_is_an_ordinary_test(project: pytest.Pytester) -> None:
    path = project.makepyfile(
        "import pytest\n"
        "def test_plain():\n    assert 1 == 2\n"
        "def test_skipped():\n    pytest.skip('not today')\n"
    )

    result = project.runpytest("--device=pixel4", path)

    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.fnmatch_lines(["E * assert 1 == 2"])


def test_tests_of_a_device_alone_need_no_golden_folder(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile("def test_it(device):\n    assert device.delegate == 'nnapi'\n")

    result = pytester.runpytest("--device=pixel4", path)

    result.assert_outcomes(passed=1)


def test_tests_of_a_variant_without_a_golden_folder_say_so(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile("def test_it(device, variant):\n    assert False\n")

    result = pytester.runpytest("--device=pixel4", path)

    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    assert "asks for a variant, and there is no golden folder" in result.stdout.str() + str(
        result.stderr
    )


def test_the_summary_is_left_out_where_nothing_ruled(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile("def test_it(device):\n    assert True\n")

    result = pytester.runpytest("--device=pixel4", path)

    result.stdout.no_fnmatch_line("*= device harness =*")
    assert not (pytester.path / ".results").exists()


def test_a_budget_is_that_of_the_size(project: pytest.Pytester) -> None:
    path = project.makepyfile(
        "def test_it(budget, size):\n    assert budget.resolution == str(size) == '64x64'\n"
    )

    result = project.runpytest("--device=pixel4", path)

    result.assert_outcomes(passed=2)


def test_a_damaged_model_is_one_clear_line_and_the_run_goes_on(project: pytest.Pytester) -> None:
    (project.path / "golden" / tiny.NAME / "int8_ptq.tflite").write_bytes(b"not a model")

    result = project.runpytest("--device=pixel4", "test_fallback.py")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["BlessedDataError: *int8_ptq.tflite: content changed*"])
