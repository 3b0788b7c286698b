"""Without `--device` pytest is untouched."""

import pytest


def test_no_header_no_summary_and_no_results(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile("def test_it():\n    assert True\n")

    result = pytester.runpytest(path)

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*device harness*")
    assert not (pytester.path / ".results").exists()


def test_no_fixture_of_the_harness_exists(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile("def test_it(device):\n    pass\n")

    result = pytester.runpytest(path)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'device' not found*"])


def test_a_users_fixture_of_the_same_name_is_theirs(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile(
        "import pytest\n"
        "@pytest.fixture\ndef device():\n    return 'mine'\n"
        "def test_it(device):\n    assert device == 'mine'\n"
    )

    result = pytester.runpytest(path)

    result.assert_outcomes(passed=1)


def test_a_golden_folder_alone_starts_no_gates(project: pytest.Pytester) -> None:
    result = project.runpytest()

    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_skip_stays_a_skip(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile("import pytest\ndef test_it():\n    pytest.skip('no')\n")

    result = pytester.runpytest("-v", path)

    result.assert_outcomes(skipped=1)
    result.stdout.no_fnmatch_line("*INCONCLUSIVE*")


def test_pytest_loads_nothing_of_the_harness_but_its_options(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile(
        "import sys\n"
        "def test_it():\n"
        "    loaded = [n for n in sys.modules if n.startswith('harness')]\n"
        "    assert sorted(loaded) == ['harness', 'harness.plugin']\n"
        "    assert 'numpy' not in sys.modules\n"
    )

    result = pytester.runpytest_subprocess(path)

    result.assert_outcomes(passed=1)
