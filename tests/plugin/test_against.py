"""Judge a change with `--against`: today's variants beside what they were."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness import results
from harness.evidence import sha256_of
from harness.report import ruling
from harness.results import Results
from harness.verdict import Change, Outcome
from tests import models, tiny


def _newest(project: pytest.Pytester) -> Results:
    return results.load(results.latest(project.path))


def _replace_fp32(golden: Path, data: bytes) -> None:
    """Put another file in the place of the FP32 variant, as an export and a review would."""
    file = golden / tiny.NAME / "fp32.tflite"
    tiny.edit(golden / tiny.NAME / "subject.toml", sha256_of(file.read_bytes()), sha256_of(data))
    file.write_bytes(data)


@pytest.fixture
def earlier(project: pytest.Pytester) -> Path:
    """Return a copy of the subjects, to judge a change against."""
    return Path(shutil.copytree(project.path / "golden", project.path / "earlier"))


def test_where_nothing_differs_nothing_is_judged_and_the_run_passes(
    project: pytest.Pytester, earlier: Path
) -> None:
    result = project.runpytest("--device=pixel4", f"--against={earlier}")

    found = _newest(project)
    assert result.ret == pytest.ExitCode.OK
    assert (found.records, found.plans[0].unchanged) == ((), 2)
    assert ruling.of(found).outcome is Outcome.PASS


def test_a_costlier_file_is_worse_and_the_cheaper_one_it_was_is_better(
    project: pytest.Pytester, earlier: Path
) -> None:
    _replace_fp32(project.path / "golden", models.unet(size_px=tiny.SIZE_PX, levels=3))
    ruled = {}
    for now, before in (("golden", "earlier"), ("earlier", "golden")):
        project.makeini(f"[pytest]\ngolden_dir = {now}\n")
        project.runpytest("--device=pixel4", f"--against={before}", "test_change.py", "-k", "cost")
        found = _newest(project)
        ruled[now] = {r.verdict.metric: r.verdict.change for r in found.records}
        assert {r.variant for r in found.records} == {"fp32"}
        assert before in {fact.revision for fact in found.facts}

    assert ruled["golden"]["macs"] is Change.WORSE
    assert ruled["golden"]["file_size_mib"] is Change.WORSE
    assert ruled["golden"]["latency_ms"] is Change.WORSE
    assert ruled["golden"]["cpu_ops"] is Change.EQUAL
    assert ruled["earlier"]["macs"] is Change.BETTER
    assert ruled["earlier"]["latency_ms"] is Change.BETTER


def test_a_loosened_limit_is_judged_again_and_shown_first(
    project: pytest.Pytester, earlier: Path
) -> None:
    toml = project.path / "golden" / tiny.NAME / "subject.toml"
    tiny.edit(toml, "latency_ms = 1000", "latency_ms = 2000")

    result = project.runpytest("--device=pixel4", f"--against={earlier}", "test_latency.py")

    (plan,) = _newest(project).plans
    assert plan.tests
    assert [one for one in plan.loosened if "latency_ms 1000 -> 2000 in subject.toml" in one]
    result.stdout.fnmatch_lines(["Against *", "*easier to pass*", "*latency_ms 1000 -> 2000*"])


def test_a_git_revision_is_read_without_touching_the_work_tree(project: pytest.Pytester) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(project.path)]
    for words in (["init", "-q"], ["add", "golden"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    _replace_fp32(project.path / "golden", models.unet(size_px=tiny.SIZE_PX, levels=3))

    project.runpytest("--device=pixel4", "--against=HEAD", "test_change.py", "-k", "cost")

    status = subprocess.run([*git, "status", "--short"], check=True, capture_output=True, text=True)
    changes = {r.verdict.metric: r.verdict.change for r in _newest(project).records}
    assert changes["macs"] is Change.WORSE
    assert {line.split()[-1] for line in status.stdout.splitlines() if line[:2] == " M"} == {
        "golden/unet/fp32.tflite",
        "golden/unet/subject.toml",
    }


def test_a_revision_that_is_not_there_is_a_usage_error(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "--against=no-such-revision")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
