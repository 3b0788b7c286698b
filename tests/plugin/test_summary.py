"""Tests of the terminal summary and of the results file."""

import json

import pytest

from harness import results
from tests import tiny


@pytest.fixture
def troubled(project: pytest.Pytester) -> pytest.Pytester:
    """Return a project with a failure, an inconclusive ruling and an error."""
    folder = project.path / "golden" / tiny.NAME
    tiny.edit(folder / "subject.toml", "latency_ms = 1000", "latency_ms = 0.001")
    (folder / "baselines.json").unlink()
    (folder / "references" / "a.npz").unlink()
    return project


@pytest.mark.parametrize("kind", ["project", "troubled"])
def test_no_line_of_it_is_longer_than_80_columns(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder: pytest.Pytester = request.getfixturevalue(kind)
    monkeypatch.setenv("COLUMNS", "80")

    result = folder.runpytest("--device=pixel4")

    lines = _summary(result)
    assert len(lines) > 5
    assert [line for line in lines if len(line) > 80] == []


def test_it_says_every_verdict_in_whole_words_at_80_columns(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    lines = _summary(project.runpytest("--device=pixel4"))

    words = " ".join(lines).split()
    for word in ("PASS", "budget", "fp32", "int8_ptq", "64x64", "MODEL", "RULES", "HOST"):
        assert word in words


def test_the_first_word_of_it_is_the_verdict(
    project: pytest.Pytester, troubled: pytest.Pytester
) -> None:
    first = _summary(troubled.runpytest("--device=pixel4", "test_latency.py"))[1]

    assert first == "FAIL: unet.fp32 and unet.int8_ptq are over budget on pixel4:nnapi."


def test_details_come_with_v_and_their_lack_is_said(project: pytest.Pytester) -> None:
    brief = _summary(project.runpytest("--device=pixel4"))
    detailed = _summary(project.runpytest("--device=pixel4", "-v"))

    assert any(line.startswith("-v shows") for line in brief)
    assert not any("exponent" in line for line in brief)
    assert any("exponent" in line for line in detailed)
    assert not any(line.startswith("-v shows") for line in detailed)


def test_it_has_no_colour_where_there_is_no_terminal(troubled: pytest.Pytester) -> None:
    result = troubled.runpytest("--device=pixel4")

    assert "\x1b" not in result.stdout.str()


def test_it_has_colour_where_that_is_asked_for(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "--color=yes")

    assert "\x1b[32m" in result.stdout.str()


def test_the_last_line_counts_each_kind(troubled: pytest.Pytester) -> None:
    gates = [f"test_{gate}.py" for gate in ("latency", "fidelity", "regression")]

    result = troubled.runpytest("--device=pixel4", *gates)

    assert result.parseoutcomes() == {"passed": 4, "failed": 2, "inconclusive": 2, "errors": 4}
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_failure_is_lines_without_a_traceback(troubled: pytest.Pytester) -> None:
    result = troubled.runpytest("--device=pixel4", "test_latency.py")

    result.stdout.fnmatch_lines(["FAIL latency: latency_ms * at most 0.001 ms: most of it *"])
    result.stdout.no_fnmatch_line("*harness/gate/*")


class TestResults:
    def test_there_is_one_line_per_verdict(self, project: pytest.Pytester) -> None:
        project.runpytest("--device=pixel4")

        path = results.latest(project.path)
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert [*rows[0], *rows[1], *rows[-1]] == ["run", "plan", "end"]
        by_gate: dict[str, list[str]] = {}
        for row in (row["verdict"] for row in rows if "verdict" in row):
            by_gate.setdefault(row["verdict"]["gate"], []).append(row["verdict"]["metric"])
        # 2 variants; fidelity: 2 frames x (5 against the golden + 1 against the target)
        assert {gate: len(metrics) for gate, metrics in by_gate.items()} == {
            "latency": 2, "cpu_fallback": 4, "fidelity": 24, "scaling": 6, "regression": 8,
        }  # fmt: skip

    def test_each_line_says_how_its_value_is_known(self, project: pytest.Pytester) -> None:
        project.runpytest("--device=pixel4")

        for record in results.load(results.latest(project.path)).records:
            provenance = record.verdict.provenance
            assert provenance is not None
            assert provenance.device
            assert provenance.time_utc
            assert provenance.harness_version

    def test_a_verdict_on_a_model_names_the_file_it_was_run_from(
        self, project: pytest.Pytester
    ) -> None:
        project.runpytest("--device=pixel4")

        for record in results.load(results.latest(project.path)).records:
            assert record.verdict.provenance is not None
            assert len(record.verdict.provenance.variant_sha256) == 64, record.verdict.gate

    def test_errors_and_missing_evidence_are_lines_too(self, troubled: pytest.Pytester) -> None:
        troubled.runpytest("--device=pixel4")

        records = list(results.load(results.latest(troubled.path)).records)
        outcomes = {(r.verdict.gate, r.verdict.outcome.value) for r in records}
        assert ("latency", "FAIL") in outcomes
        assert ("regression", "INCONCLUSIVE") in outcomes
        assert ("fidelity", "INCONCLUSIVE") in outcomes

    def test_two_runs_are_two_files(self, project: pytest.Pytester) -> None:
        project.runpytest("--device=pixel4", "test_fallback.py")
        project.runpytest("--device=pixel4", "test_fallback.py")

        assert len(list((project.path / ".results").glob("*.jsonl"))) == 2


def _summary(result: pytest.RunResult) -> list[str]:
    lines = result.outlines
    start = next(i for i, line in enumerate(lines) if "= device harness =" in line)
    stop = next(i for i, line in enumerate(lines) if line.startswith("results: "))
    return [line.rstrip() for line in lines[start : stop + 1]]


def test_a_cache_that_cannot_be_written_is_one_line_and_changes_no_ruling(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_cache = project.runpytest_subprocess("--device=pixel4")
    monkeypatch.setenv("HARNESS_CACHE", "/proc/zz")

    without = project.runpytest_subprocess("--device=pixel4")

    assert without.parseoutcomes() == with_cache.parseoutcomes()
    said = [line for line in without.outlines if "/proc/zz" in line]
    assert [line.partition(" (")[0] for line in said] == ["the cache /proc/zz cannot be written"]
