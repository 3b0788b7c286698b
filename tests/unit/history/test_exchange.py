"""Runs in files."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import cli
from harness.errors import ConfigError, StackMissing
from harness.history import exchange
from harness.history.entries import FactEntry, RunEntry
from tests import needs
from tests.unit.history.runs import key, run

pytest.importorskip("sqlalchemy", reason="the extra 'history' is not installed")

pytestmark = pytest.mark.history


def command(*words):
    with pytest.raises(SystemExit) as end:
        cli.main(["history", *map(str, words)])
    return end.value.code


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5),
    st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=9),
)
def test_json_lines_come_back_exactly(tmp_path_factory, values, name):
    path = tmp_path_factory.mktemp("runs") / "runs.jsonl"
    facts = tuple(FactEntry(series=key(i, subject=name), value=v) for i, v in enumerate(values))
    if len({fact.series for fact in facts}) < len(facts):
        facts = facts[:1]
    runs = (RunEntry(id=name, time_utc="2026-01-01T00:00:00+00:00", facts=facts), run(1))

    assert exchange.write_json_lines(path, runs) == 2
    assert exchange.read(path) == runs


def test_parquet_has_one_row_a_fact(tmp_path):
    parquet = needs.package("pyarrow.parquet")
    path = tmp_path / "runs.parquet"

    assert exchange.write_parquet(path, [run(0), run(1, provenance="{}")]) == 2

    rows = parquet.read_table(path).to_pylist()
    assert [row["run"] for row in rows] == ["lab1-0"] * 3 + ["lab1-1"] * 3
    assert rows[4]["subject"] == "net1"
    assert (rows[4]["value"], rows[4]["low"], rows[4]["high"]) == (11.0, 9.5, None)
    assert rows[0]["time_utc"].isoformat() == "2026-01-01T00:00:00+00:00"


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(StackMissing, match="pip install"):
        exchange.write_parquet(tmp_path / "runs.parquet", [])


BENCHMARKS = {
    "machine_info": {
        "node": "lab1", "python_version": "3.11.7", "cpu": {"brand_raw": "Some CPU"},
    },
    "commit_info": {"id": "c0ffee", "time": "2026-01-01T00:00:00Z"},
    "benchmarks": [
        {
            "fullname": "tests/test_speed.py::test_fit[nine points]",
            "stats": {"median": 0.002, "q1": 0.001, "q3": 0.004, "mean": 0.9},
        },
    ],
    "datetime": "2026-01-01T12:00:00+00:00",
    "version": "5.0",
}  # fmt: skip


def test_a_report_of_pytest_benchmark_is_a_run(tmp_path):
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(BENCHMARKS, indent=4))

    (entry,) = exchange.read(path)

    assert (entry.host, entry.commit) == ("lab1", "c0ffee")
    (fact,) = entry.facts
    assert fact.series.subject == "tests/test_speed.py::test_fit"
    assert fact.series.variant == "nine points"
    assert (fact.series.metric, fact.series.evidence) == ("median_ms", "HOST")
    assert fact.series.fingerprint == "Some CPU 3.11.7"
    assert (fact.value, fact.low, fact.high) == (2.0, 1.0, 4.0)
    assert exchange.read(path)[0].id == entry.id


def test_what_pytest_benchmark_really_writes_can_be_read(pytester, monkeypatch):
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)  # pytest-benchmark times nothing beside xdist
    pytester.makepyfile("def test_sum(benchmark):\n    benchmark(sum, range(100))\n")
    result = pytester.runpytest_subprocess(
        "--benchmark-json=report.json", "--benchmark-min-rounds=5", "--benchmark-max-time=0.01"
    )
    assert result.ret == 0

    (entry,) = exchange.read(pytester.path / "report.json")

    (fact,) = entry.facts
    assert fact.series.subject.endswith("::test_sum")
    assert fact.low is not None
    assert fact.high is not None
    assert 0 < fact.low <= fact.value <= fact.high


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not valid JSON"),
        ('{"id": "x"}\n', "1: lacks|1: .*facts"),
        ('{"benchmarks": []}', "is no report of pytest-benchmark"),
        ('{"benchmarks": [], "machine_info": 3}', "is no report of pytest-benchmark"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_files_that_hold_no_runs_are_refused(tmp_path, text, says):
    path = tmp_path / "runs.jsonl"
    path.write_text(text)

    with pytest.raises(ConfigError, match=says):
        exchange.read(path)


def test_runs_are_added_exported_and_added_elsewhere(tmp_path, capsys):
    source, other, file = tmp_path / "a.db", tmp_path / "b.db", tmp_path / "all.jsonl"
    exchange.write_json_lines(tmp_path / "in.jsonl", [run(0), run(1, value=11.0)])

    assert command("add", tmp_path / "in.jsonl", "--history", source) == 0
    assert command("add", tmp_path / "in.jsonl", "--history", source) == 0
    assert command("export", file, "--history", source) == 0
    assert command("add", file, "--history", other) == 0
    assert command("latest", "--history", other) == 0

    printed = capsys.readouterr().out
    assert "2 of 2 runs are new" in printed
    assert "0 of 2 runs are new" in printed
    assert "lab1-1 against lab1-0: 3 of 3 series differ" in printed
    assert "+10.0%" in printed
    assert file.read_text() == (tmp_path / "in.jsonl").read_text()


def test_latest_prints_json(tmp_path, capsys):
    exchange.write_json_lines(tmp_path / "in.jsonl", [run(0), run(1)])
    command("add", tmp_path / "in.jsonl", "--history", tmp_path / "h.db")
    capsys.readouterr()

    command("latest", "--json", "--history", tmp_path / "h.db")

    assert json.loads(capsys.readouterr().out)["series"][0]["now"] == 10.0


def test_the_default_history_is_in_the_folder_of_results(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert command("migrate") == 0
    assert (tmp_path / ".results" / "history.db").exists()


def test_without_the_extra_the_command_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "harness.history.store", None)
    for name in [name for name in sys.modules if name.startswith("harness.history.store")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)

    assert command("migrate", "--history", tmp_path / "h.db") == 2
    assert "sqlalchemy is not installed; pip install" in capsys.readouterr().err


def test_an_export_under_another_name_is_refused(tmp_path, capsys):
    assert command("export", tmp_path / "runs.csv", "--history", tmp_path / "h.db") == 2
    assert ".jsonl or .parquet" in capsys.readouterr().err
