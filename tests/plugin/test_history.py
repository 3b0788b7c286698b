"""Take a run into the history at its end."""

from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'history' is not installed")

from harness import results
from harness.history.store import Store
from harness.verdict import Change

pytestmark = pytest.mark.history

RUN = ("--device=pixel4", "--origin=emulated", "--subject=unet.fp32", "test_fallback.py")


def test_a_run_is_in_the_history_at_its_end(pytester: pytest.Pytester, golden_dir: Path) -> None:
    done = pytester.runpytest_subprocess(
        *RUN, f"-ogolden_dir={golden_dir}", "--history=runs.db", "-ohistory=other.db"
    )

    run = results.load(results.latest(pytester.path))
    done.stdout.fnmatch_lines([f"history: run {run.run.id} taken in, * facts"])
    with Store.open(str(pytester.path / "runs.db")) as store:
        (kept,) = store.runs()
    ruled = [record for record in run.records if record.verdict.observed is not None]
    assert kept.id == run.run.id
    assert {fact.series.metric for fact in kept.facts if fact.placement} == {"cpu_ops"}
    assert {fact.series.metric for fact in kept.facts} == {one.verdict.metric for one in ruled}
    assert not (pytester.path / "other.db").exists()


def test_a_history_that_cannot_be_reached_is_one_line_and_changes_no_ruling(
    pytester: pytest.Pytester, golden_dir: Path
) -> None:
    done = pytester.runpytest_subprocess(
        *RUN, f"-ogolden_dir={golden_dir}", "-ohistory=postgresql://nobody@127.0.0.1:1/nothing"
    )

    done.stdout.fnmatch_lines(["history: the run is not in it, *does not answer*"])
    assert done.ret == 0
    assert results.load(results.latest(pytester.path)).end is not None


def test_a_run_that_only_the_history_has_is_judged_against(
    pytester: pytest.Pytester, golden_dir: Path
) -> None:
    common = ("--device=pixel4", f"-ogolden_dir={golden_dir}", "--history=runs.db")
    pytester.runpytest_subprocess(*common, "--harness-run-id=kept-1")
    results.latest(pytester.path).unlink()

    done = pytester.runpytest_subprocess(*common, "--against=kept-1", "test_change.py")

    found = results.load(results.latest(pytester.path))
    ruled = {r.verdict.metric: r.verdict.change for r in found.records if r.variant == "int8_ptq"}
    assert done.ret == 0
    assert ruled == dict.fromkeys(
        ("latency_ms", "cpu_ops", "partitions", "quality_db", "psnr_db"), Change.EQUAL
    )
