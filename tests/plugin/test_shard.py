"""`--shard`: a plan judged in parts."""

import pytest

from harness import results
from tests import tiny

DEVICES = "--device=pixel4,mate30pro"


def _tests_of(project: pytest.Pytester, *arguments: str) -> set[str]:
    """Run, and return the tests that ruled."""
    known = set(project.path.glob(".results/*.jsonl"))
    project.runpytest(DEVICES, *arguments)
    (path,) = set(project.path.glob(".results/*.jsonl")) - known
    found = results.load(path)
    assert found.end is not None
    return {record.test for record in found.records}


def test_the_shards_of_a_plan_judge_it_whole_and_nothing_twice(project: pytest.Pytester) -> None:
    whole = _tests_of(project)
    first, second, third = (_tests_of(project, f"--shard={number}/3") for number in (1, 2, 3))

    assert first | second | third == whole
    assert len(first) + len(second) + len(third) == len(whole)


def test_a_variant_on_a_phone_stays_in_one_shard(project: pytest.Pytester) -> None:
    owners: dict[str, set[int]] = {}
    for number in (1, 2, 3):
        project.runpytest(DEVICES, f"--shard={number}/3", "-k", "latency or fallback")
        for record in results.load(results.latest(project.path)).records:
            owners.setdefault(f"{record.device} {record.variant}", set()).add(number)

    assert owners
    assert all(len(numbers) == 1 for numbers in owners.values())


@pytest.mark.parametrize("shard", ["3/2", "two", "1/1000"])
def test_a_shard_that_cannot_be_is_refused_in_one_line(
    project: pytest.Pytester, shard: str
) -> None:
    result = project.runpytest("--device=pixel4", f"--shard={shard}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *shard*"])


def test_the_records_of_shards_are_summed_up_as_one_and_a_lost_one_is_inconclusive(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        project.runpytest("--device=pixel4", f"--shard={number}/2", "test_fallback.py")
    paths = results.all_runs(project.path)
    capsys.readouterr()

    assert tiny.command("ci-summary", *paths) == 0
    assert capsys.readouterr().out.startswith("**PASS**")
    assert tiny.command("ci-summary", "--strict", paths[0]) == 3
    assert "2/2 of the plan's shards did not arrive" in capsys.readouterr().out
