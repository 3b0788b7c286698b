"""Gates that only a budget asks for: memory, file size and first inference."""

import pytest

from harness import results
from harness.evidence import sha256_of
from harness.verdict import Outcome
from tests import models, tiny

_FILES = ("test_memory.py", "test_file_size.py", "test_first_inference.py", "test_energy.py")
_FIRST = 'resolution = "64x64"\n'


def _budget(project: pytest.Pytester, keys: str) -> None:
    tiny.edit(project.path / "golden" / tiny.NAME / "subject.toml", _FIRST, f"{_FIRST}{keys}\n")


def _ruled(project: pytest.Pytester) -> dict[tuple[str, str, str], Outcome]:
    records = results.load(results.latest(project.path)).records
    return {(r.verdict.gate, r.variant, r.verdict.metric): r.verdict.outcome for r in records}


def test_without_such_a_budget_there_is_no_such_test(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "--collect-only", "-q")

    listed = result.stdout.str()
    assert "test_latency.py" in listed
    assert not any(name in listed for name in _FILES)
    assert "deselected" not in listed


def test_as_many_tests_are_collected_as_run(project: pytest.Pytester) -> None:
    """No case has a clip, tiles, further measures or an earlier version."""
    _budget(project, "weights_mib = 1000.0")  # ASKED_BY of one gate is set, of two is not

    result = project.runpytest("--device=pixel4")

    ruled = sum(result.parseoutcomes().values())
    assert result.parseoutcomes().keys() == {"passed"}
    assert f"collected {ruled} items" in result.stdout.str()


def test_a_test_of_ones_own_without_a_case_is_deselected_by_count(
    project: pytest.Pytester,
) -> None:
    withheld = (
        '[[withheld]]\ndevices = ["*"]\ndelegates = ["*"]\nvariants = ["*"]\n'
        'because = "not yet"\n\n[[ships]]'
    )
    tiny.edit(project.path / "golden" / tiny.NAME / "subject.toml", "[[ships]]", withheld)
    own = project.makepyfile("def test_it(device, variant): pass\ndef test_plain(): pass\n")

    result = project.runpytest("--device=pixel4", own)

    assert "collected 2 items / 1 deselected / 1 selected" in result.stdout.str()


def test_a_budget_asks_for_its_gate_only(project: pytest.Pytester) -> None:
    _budget(project, "weights_mib = 1000.0")

    result = project.runpytest("--device=pixel4", *_FILES)

    assert result.parseoutcomes() == {"passed": 2}
    assert set(_ruled(project).values()) == {Outcome.PASS}
    assert {gate for gate, _, _ in _ruled(project)} == {"memory"}


def test_a_budget_of_one_variant_asks_about_no_other(project: pytest.Pytester) -> None:
    own = (
        '[[budgets]]\ndevices = ["*"]\ndelegates = ["*"]\nvariants = ["int8_ptq"]\n'
        'resolution = "64x64"\nfile_size_mib = 9.0\nsource = "test"\n\n[[budgets]]'
    )
    tiny.edit(project.path / "golden" / tiny.NAME / "subject.toml", "[[budgets]]", own)

    project.runpytest("--device=pixel4", "test_file_size.py")

    assert _ruled(project) == {("file_size", "int8_ptq", "file_size_mib"): Outcome.PASS}


def test_a_gate_of_ones_own_is_asked_for_alike(project: pytest.Pytester) -> None:
    own = project.makepyfile(
        "ASKED_BY = ('p95_ms',)\n"
        "def test_it(device, variant, size, budget):\n    assert budget.p95_ms == 7.0\n"
    )
    assert project.runpytest("--device=pixel4", own).ret is pytest.ExitCode.NO_TESTS_COLLECTED
    _budget(project, "p95_ms = 7.0")

    result = project.runpytest("--device=pixel4", own)

    result.assert_outcomes(passed=2)


def test_a_key_that_no_budget_has_is_one_clear_line(project: pytest.Pytester) -> None:
    own = project.makepyfile("ASKED_BY = ('p59_ms',)\ndef test_it(device, size): pass\n")

    result = project.runpytest("--device=pixel4", own)

    assert result.ret != pytest.ExitCode.OK
    assert "ASKED_BY: a budget has no key 'p59_ms'; known:" in str(result.stderr) + str(
        result.stdout
    )


def test_an_estimate_cannot_keep_a_budget_of_the_first_inference(project: pytest.Pytester) -> None:
    _budget(project, "first_inference_ms = 1e6")

    result = project.runpytest("--device=pixel4", "test_first_inference.py")

    assert result.parseoutcomes() == {"inconclusive": 2}
    assert "needs a phone" in " ".join(result.stdout.str().split())


def test_a_model_that_grew_turns_memory_and_file_size_red(project: pytest.Pytester) -> None:
    """The export of a network with twice the channels takes the place of the blessed one."""
    folder = project.path / "golden" / tiny.NAME
    path = folder / "fp32.tflite"
    sound = path.stat().st_size / 2**20
    _budget(project, f"weights_mib = {sound}\nfile_size_mib = {sound}\npeak_memory_mib = 3.0")
    project.runpytest("--device=pixel4", *_FILES)
    assert set(_ruled(project).values()) == {Outcome.PASS}
    old = sha256_of(path.read_bytes())

    path.write_bytes(models.unet(size_px=tiny.SIZE_PX, channels=64))
    tiny.edit(folder / "subject.toml", old, sha256_of(path.read_bytes()))
    result = project.runpytest("--device=pixel4", "--subject=unet.fp32", *_FILES)

    assert _ruled(project) == {
        ("memory", "fp32", "peak_memory_mib"): Outcome.FAIL,
        ("memory", "fp32", "weights_mib"): Outcome.FAIL,
        ("file_size", "fp32", "file_size_mib"): Outcome.FAIL,
    }
    assert "too large" in " ".join(result.stdout.str().split())
