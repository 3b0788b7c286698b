"""Projects that own a name of ours: an installed plugin breaks no run that does not ask for it."""

import pytest

_OWNERS = {
    "plain": 'parser.addoption("{name}", default="theirs")',
    "typed": 'parser.addoption("{name}", type=int, default=7)',
    "choices": 'parser.addoption("{name}", choices=["cpu", "cuda"], default="cpu")',
    "flag": 'parser.addoption("{name}", action="store_true")',
    "dest": 'parser.addoption("{name}", dest="torch_{bare}", default="theirs")',
    "append": 'parser.addoption("{name}", action="append", default=[])',
    "group": 'parser.getgroup("torch").addoption("{name}", default="theirs")',
}
_NAMES = ("--device", "--serial", "--origin", "--subject")
_GATES = ("--harness-device=pixel4", "--harness-subject=unet.fp32", "--harness-origin=emulated")


def _conftest(name: str, kind: str = "plain") -> str:
    call = _OWNERS[kind].format(name=name, bare=name.removeprefix("--"))
    return f"def pytest_addoption(parser):\n    {call}\n"


@pytest.mark.parametrize("kind", _OWNERS)
@pytest.mark.parametrize("name", _NAMES)
def test_a_plain_run_of_a_project_that_owns_an_option_is_as_without_us(
    pytester: pytest.Pytester, name: str, kind: str
) -> None:
    pytester.makeconftest(_conftest(name, kind))
    pytester.makepyfile("def test_it():\n    assert True\n")

    result = pytester.runpytest()

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("device harness*")


@pytest.mark.parametrize("arguments", [["--device=cuda"], ["--device", "cuda"]])
def test_the_owners_value_reaches_the_owner(
    pytester: pytest.Pytester, arguments: list[str]
) -> None:
    pytester.makeini("[pytest]\ntestpaths = checks\n")
    folder = pytester.mkdir("checks")
    (folder / "conftest.py").write_text(_conftest("--device"), encoding="utf-8")
    (folder / "test_it.py").write_text(
        "def test_it(request):\n"
        "    assert request.config.getoption('--device') == 'cuda'\n"
        "    assert request.config.getoption('device') == 'cuda'\n",
        encoding="utf-8",
    )

    result = pytester.runpytest(*arguments)

    result.assert_outcomes(passed=1)


def test_a_conftest_that_is_found_late_may_own_an_option_too(pytester: pytest.Pytester) -> None:
    folder = pytester.mkpydir("below")
    (folder / "conftest.py").write_text(_conftest("--device", "choices"), encoding="utf-8")
    (folder / "test_it.py").write_text("def test_it():\n    assert True\n", encoding="utf-8")

    result = pytester.runpytest()

    result.assert_outcomes(passed=1)


def test_another_plugin_may_own_an_option(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(zz_plugin=_conftest("--device"))
    pytester.makepyfile("def test_it(request):\n    assert request.config.option.device == 'x'\n")
    pytester.syspathinsert()

    result = pytester.runpytest("-p", "zz_plugin", "--device=x")

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("name", _NAMES)
def test_the_prefixed_names_work_where_the_short_ones_are_taken(
    project: pytest.Pytester, name: str
) -> None:
    project.makeconftest(_conftest(name))

    result = project.runpytest(*_GATES, "test_fallback.py")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "device harness: pixel4:nnapi (origin emulated)",
            f"device harness: {name} belong to this project or another plugin; "
            f"use --harness-{name.removeprefix('--')}",
        ]
    )


def test_the_short_names_that_are_free_work_beside_a_taken_one(project: pytest.Pytester) -> None:
    project.makeconftest(_conftest("--serial"))

    result = project.runpytest("--device=pixel4", "--subject", "unet.fp32", "test_fallback.py")

    result.assert_outcomes(passed=1)


def test_asking_the_owner_for_one_of_our_phones_gets_a_line(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(_conftest("--device"))
    pytester.makepyfile("def test_it():\n    assert True\n")

    result = pytester.runpytest("--device=pixel4")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["device harness: --device belong to *use --harness-device"])


def test_arguments_after_two_dashes_and_of_other_options_are_left_alone(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest("def pytest_addoption(parser):\n    parser.addoption('--devices')\n")
    pytester.makepyfile("def test_it(request):\n    assert request.config.option.devices == '2'\n")

    result = pytester.runpytest("--devices=2")

    result.assert_outcomes(passed=1)


def test_short_names_may_stand_in_addopts_and_in_a_file_of_arguments(
    project: pytest.Pytester,
) -> None:
    project.makeini("[pytest]\naddopts = --subject=unet.fp32\n")
    (project.path / "arguments.txt").write_text("--device\npixel4\n", encoding="utf-8")

    result = project.runpytest("@arguments.txt", "test_fallback.py")

    result.assert_outcomes(passed=1)


def test_a_projects_own_ini_key_of_our_name_is_theirs(project: pytest.Pytester) -> None:
    project.makeconftest(
        "def pytest_addoption(parser):\n"
        "    parser.addini('golden_dir', 'theirs', type='bool', default=False)\n"
    )
    project.makeini("[pytest]\ngolden_dir = true\nharness_golden_dir = golden\n")
    project.makepyfile(
        test_theirs="def test_it(pytestconfig):\n"
        "    assert pytestconfig.getini('golden_dir') is True\n"
    )

    project.runpytest("test_theirs.py").assert_outcomes(passed=1)
    result = project.runpytest("--device=pixel4", "test_fallback.py")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*golden_dir belong to *use harness_golden_dir"])


def test_our_ini_keys_are_known_to_a_run_that_does_not_ask_for_us(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeini("[pytest]\ngolden_dir = golden\nharness_profile_dirs = phones\n")
    pytester.makepyfile("def test_it():\n    assert True\n")

    result = pytester.runpytest("--strict-config", "-W", "error")

    result.assert_outcomes(passed=1)


def test_a_projects_own_fixtures_do_not_reach_the_shipped_gates(project: pytest.Pytester) -> None:
    project.makeconftest(
        _conftest("--device")
        + "import pytest\n"
        + "@pytest.fixture(scope='session')\ndef device(request):\n"
        + "    return request.config.getoption('--device')\n"
    )
    project.makepyfile(test_theirs="def test_it(device):\n    assert device == 'theirs'\n")

    project.runpytest("test_theirs.py").assert_outcomes(passed=1)
    result = project.runpytest("--harness-device=pixel4")

    assert result.ret == 0
    assert result.parseoutcomes().keys() == {"passed"}


class TestOwnTestsWithoutDevice:
    def test_one_that_is_written_for_the_harness_is_a_skip_that_says_what_to_do(
        self, pytester: pytest.Pytester
    ) -> None:
        path = pytester.makepyfile(
            test_mine="def test_colours(device, variant, golden, check):\n    assert False\n"
        )

        result = pytester.runpytest("-rs", path)

        result.assert_outcomes(skipped=1)
        result.stdout.fnmatch_lines(
            ["*a test of the device harness: run `pytest --harness-device=NAME test_mine.py`*"]
        )

    def test_one_that_lacks_another_fixture_is_the_error_that_it_is(
        self, pytester: pytest.Pytester
    ) -> None:
        path = pytester.makepyfile(
            "import pytest\n"
            "@pytest.fixture\ndef device():\n    return 1\n"
            "@pytest.fixture\ndef variant():\n    return 2\n"
            "def test_it(device, variant, elsewhere):\n    pass\n"
        )

        result = pytester.runpytest(path)

        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*fixture 'elsewhere' not found*"])
