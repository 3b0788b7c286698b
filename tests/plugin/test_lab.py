"""Tests of `--lab` and the ini key `labs`."""

import pytest

from harness.errors import MeasurementError
from harness.lab.aihub import AihubLab
from harness.profiles import Target
from harness.requests import Request, Verb
from tests import phones


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--lab=nowhere"], "no lab 'nowhere'"),
        (["--lab=adb:phone"], "no adb endpoint"),
        (["--lab=adb:127.0.0.1:99999"], "no adb endpoint"),
        (["--lab=adb:127.0.0.1:1", "--lab=nowhere"], "one kind"),
        (["--lab=adb:127.0.0.1:1", "--origin=emulated"], "--origin=emulated"),
        (["--lab=adb:127.0.0.1:1", "--serial=X"], "--serial"),
        (["--lab=adb:127.0.0.1:1", "-n2"], "-n"),
    ],
)
def test_a_lab_that_cannot_be_asked_is_a_usage_error_that_says_why(
    project: pytest.Pytester, asked: list[str], said: str
) -> None:
    result = project.runpytest("--device=pixel4", *asked)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()


def test_a_lab_that_is_away_ends_the_run_before_any_test(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.lab.adb._CONNECT_LIMIT_S", 0.5)
    with phones.server() as server:
        monkeypatch.setenv("ADB_SERVER_SOCKET", f"tcp:{server}")

        result = project.runpytest("--device=pixel4:cpu", "--lab=adb:127.0.0.1:1")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "127.0.0.1:1" in result.stderr.str()
    assert "inconclusive" not in result.parseoutcomes()


def test_a_lab_is_not_reached_to_list_tests(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4:cpu", "--lab=adb:127.0.0.1:1", "--collect-only")

    assert result.ret == pytest.ExitCode.OK


def test_emulated_facts_are_asked_of_no_lab_of_the_ini_file(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\nlabs = adb:127.0.0.1:1\n")

    result = project.runpytest(
        "--device=pixel4:cpu", "--origin=emulated", "--subject=unet.fp32", "test_fallback.py"
    )

    assert result.ret == pytest.ExitCode.OK


def test_a_lab_without_a_unit_of_its_own_compares_no_models() -> None:
    model = phones.model()
    asked = Request(
        target=Target(profile=phones.PIXEL_4, delegate="gpu"),
        verb=Verb.COMPARE,
        model=model,
        size=phones.SIZE,
        before=model,
    )
    (fact,) = AihubLab(consent=True).answer([asked])

    assert isinstance(fact.error, MeasurementError)
