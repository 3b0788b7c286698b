"""Take a run into the history at its end."""

import shutil
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


KILLED = """
import contextlib, os, sqlite3, time
begun = []
def pytest_runtest_setup(item):
    begun.append(item)
    while len(begun) > 3:  # facts come as tests ask for them
        not_made_yet = contextlib.suppress(sqlite3.OperationalError)
        with not_made_yet, sqlite3.connect("runs.db") as database:
            if database.execute("select count(line) from asked").fetchone()[0] > 1:
                os._exit(9)
        time.sleep(0.05)
"""


def test_a_run_whose_machine_is_lost_goes_on_with_the_facts_of_the_history(
    pytester: pytest.Pytester, golden_dir: Path
) -> None:
    run = (*RUN[:3], f"-ogolden_dir={golden_dir}", "--history=runs.db")
    pytester.makepyfile(killed=KILLED)
    assert pytester.runpytest_subprocess(*run, "-pkilled").ret == 9
    lost = results.load(results.latest(pytester.path))
    shutil.rmtree(pytester.path / ".results")

    done = pytester.runpytest_subprocess(*run, "--resume")

    done.stdout.fnmatch_lines([f"resumed run {lost.run.id}: * taken over"])
    found = results.load(results.latest(pytester.path))
    taken = {fact.request for fact in lost.facts}
    assert len(taken & {fact.request for fact in found.facts[: len(taken)]}) >= 2
    with Store.open(str(pytester.path / "runs.db")) as store, store.engine.connect() as connection:
        left = connection.exec_driver_sql("select distinct run from asked").scalars().all()
    assert left == [lost.run.id]
