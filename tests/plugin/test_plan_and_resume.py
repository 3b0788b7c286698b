"""What a run plans, asks for once, and takes over from a run that was cut short."""

import importlib
import importlib.metadata
import json
import pkgutil
from collections import Counter
from pathlib import Path

import jsonschema
import pytest

import harness
from harness import gates, judging, results
from harness.plugin import progress
from tests import tiny


def _cut_short(path: Path) -> None:
    """Take the end and the verdicts from a run, as a kill between two tests would."""
    kept = [
        line
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
        if next(iter(json.loads(line))) in ("run", "plan", "fact")
    ]
    path.write_text("".join(kept), encoding="utf-8")


def test_each_shipped_gate_says_what_it_asks() -> None:
    names = [one.name for one in pkgutil.iter_modules(gates.__path__)]

    modules = [importlib.import_module(f"{gates.__name__}.{name}") for name in names]

    assert len(names) >= 9
    assert all(callable(module.asks) and module.GATE for module in modules)


def test_each_fact_is_taken_once(project: pytest.Pytester) -> None:
    project.runpytest("--device=pixel4")

    found = results.load(results.latest(project.path))

    assert found.facts
    assert max(Counter(fact.request for fact in found.facts).values()) == 1
    assert {fact.verb for fact in found.facts} >= {"time", "place", "run"}
    assert found.unrecorded == ()
    assert found.end is not None


def test_every_fact_of_a_shipped_gate_is_planned(project: pytest.Pytester) -> None:
    """What a gate asks in its test and not in `asks` is asked while its time counts."""
    project.runpytest("--device=pixel4")
    plan = harness.plan(project.path / "golden", "pixel4")
    planned = {
        request.key
        for trial in judging.trials(plan.cases)
        for request in judging.requests(trial.module, trial.case)
    }

    found = results.load(results.latest(project.path))

    assert {fact.request for fact in found.facts} == planned


def test_verdicts_and_facts_are_written_down_as_they_come(project: pytest.Pytester) -> None:
    project.runpytest("--device=pixel4", "--jobs=2")

    lines = results.latest(project.path).read_text(encoding="utf-8").splitlines()
    kinds = [next(iter(json.loads(line))) for line in lines]

    assert kinds.index("verdict") < kinds.index("fact", kinds.index("verdict"))


def test_on_a_terminal_a_bar_comes_before_the_first_verdict(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "is_drawn", lambda config, count: count > 3)

    project.runpytest("--device=pixel4")

    lines = results.latest(project.path).read_text(encoding="utf-8").splitlines()
    kinds = [next(iter(json.loads(line))) for line in lines]
    assert "fact" in kinds
    assert "fact" not in kinds[kinds.index("verdict") :]


def test_several_processes_give_the_verdicts_of_one(project: pytest.Pytester) -> None:
    verdicts = []
    for jobs in (1, 2):
        project.runpytest("--device=pixel4", f"--jobs={jobs}")
        found = results.load(results.latest(project.path))
        verdicts.append(
            {
                (r.test, r.verdict.metric): (r.verdict.outcome, r.verdict.observed)
                for r in found.records
            }
        )

    assert verdicts[0]
    assert verdicts[0] == verdicts[1]


def test_a_run_that_is_cut_short_says_what_is_not_known(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_x=(
            "def test_a(device, variant, check):\n    assert False\n"
            "def test_b(device, variant, check):\n    check()\n"
        )
    )

    result = project.runpytest("--device=pixel4", "--maxfail=1", "test_x.py")

    found = results.load(results.latest(project.path))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert len(found.unrecorded) == 3
    assert found.end is None
    result.stdout.fnmatch_lines(["INCONCLUSIVE: 3 planned tests did not run*"])


def test_resume_takes_over_the_facts_of_the_run_that_was_cut_short(
    project: pytest.Pytester,
) -> None:
    project.runpytest("--device=pixel4", "test_latency.py", "test_fallback.py")
    first = results.load(results.latest(project.path))
    _cut_short(first.path)

    result = project.runpytest("--device=pixel4", "--resume", "test_latency.py", "test_fallback.py")

    second = results.load(results.latest(project.path))
    result.stdout.fnmatch_lines([f"resumed run {first.run.id}: * taken over"])
    assert second.plans[0].resumes == first.run.id
    assert {(f.request, f.answer["provenance"]["time_utc"]) for f in second.facts} == {
        (f.request, f.answer["provenance"]["time_utc"]) for f in first.facts
    }
    assert second.end is not None


def test_facts_of_other_versions_are_taken_again(project: pytest.Pytester) -> None:
    command = ("--device=pixel4,pixel4:cpu", "test_latency.py", "test_fallback.py")
    project.runpytest(*command)
    first = results.load(results.latest(project.path))
    _cut_short(first.path)
    version = importlib.metadata.version("ai-edge-litert")
    tiny.edit(first.path, f'"ai-edge-litert": "{version}"', '"ai-edge-litert": "0.0.1"')

    result = project.runpytest(*command, "--resume")

    found = results.load(results.latest(project.path)).facts
    others = sum("ai-edge-litert" in f.answer["provenance"]["runtime"] for f in first.facts)
    result.stdout.fnmatch_lines(
        [
            f"resumed run {first.run.id}: {len(first.facts) - others} facts taken over, {others} "
            f"of other software to be taken again (ai-edge-litert 0.0.1 -> {version})"
        ]
    )
    assert 0 < others < len(first.facts)
    said = {(f.delegate, f.verb): f.answer["provenance"]["runtime"] for f in found}
    assert said["cpu", "place"]["ai-edge-litert"] == version
    assert said["cpu", "time"]["ai-edge-litert"] == version


def test_facts_that_were_asked_for_in_another_way_are_not_taken_over(
    project: pytest.Pytester,
) -> None:
    project.runpytest("--device=pixel4", "--origin=emulated", "test_latency.py")
    _cut_short(results.latest(project.path))

    result = project.runpytest("--device=pixel4", "--origin=auto", "--resume", "test_latency.py")

    result.stdout.fnmatch_lines(["nothing to resume: no unfinished run of this plan*"])


def test_there_is_nothing_to_resume_of_another_plan(project: pytest.Pytester) -> None:
    project.runpytest("--device=pixel4", "test_latency.py")
    _cut_short(results.latest(project.path))

    result = project.runpytest("--device=pixel4", "--resume", "test_fallback.py")

    result.stdout.fnmatch_lines(["nothing to resume: no unfinished run of this plan*"])


def test_jobs_wants_a_number(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "--jobs=0")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*'0' is not a number of processes, 1 or more*"])


def test_a_test_may_ask_for_a_frame_a_size_and_a_budget_together(
    project: pytest.Pytester,
) -> None:
    path = project.makepyfile(
        "def test_it(device, variant, golden, size, budget, check):\n"
        "    assert golden.size == size\n"
        "    assert budget.resolution == str(size)\n"
        "    assert device.time(variant, size).provenance\n"
    )

    result = project.runpytest("--device=pixel4", path)

    result.assert_outcomes(passed=4)


def test_every_line_of_a_run_fits_the_schema(project: pytest.Pytester) -> None:
    project.runpytest("--device=pixel4")

    check = jsonschema.Draft202012Validator(results.json_schema())
    lines = results.latest(project.path).read_text(encoding="utf-8").splitlines()
    kinds = set()
    for line in map(json.loads, lines):
        check.validate(line)
        kinds |= set(line)
    assert kinds == {"run", "plan", "fact", "verdict", "end"}
    with pytest.raises(jsonschema.ValidationError):
        check.validate({"verdict": {}})


def test_a_fact_names_the_file_and_what_was_run_of_it(project: pytest.Pytester) -> None:
    project.runpytest("--device=pixel4", "test_scaling.py")

    found = results.load(results.latest(project.path))

    resized = [fact for fact in found.facts if fact.resolution == "32x32"]
    assert resized
    for fact in resized:
        made = fact.answer["provenance"]
        assert made["file_sha256"] == fact.file_sha256 != made["variant_sha256"]


def test_a_list_of_the_tests_plans_none_and_says_nothing_of_them(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "--collect-only", "-q")

    assert result.ret == 0
    result.stdout.no_fnmatch_line("INCONCLUSIVE*")
    assert not (project.path / results.FOLDER).exists()
