"""Keep runs in a database."""

import dataclasses
import itertools
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("sqlalchemy", reason="the extra 'history' is not installed")

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from harness.errors import ConfigError
from harness.history.entries import FactEntry, RunEntry, SeriesKey
from harness.history.rows import Acknowledged
from harness.history.store import Store, engines, queries, tables
from tests import needs, postgres
from tests.unit.history.runs import key, run

pytestmark = pytest.mark.history

WRITER = """
import sys
from harness.history.store import Store
from tests.unit.history.runs import run
address, host, nights, facts = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with Store.open(address) as store:
    for night in range(nights):
        store.add(run(night, facts, host=host))
        print(f"{host}-{night}", flush=True)
"""
NUMBERS = itertools.count()
ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(address):
    with Store.open(address) as opened:
        yield opened


def writer(address, host, nights, facts):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, address, host, str(nights), str(facts)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def test_a_run_comes_back_as_it_was(store):
    given_run = run(provenance='{"device": "coral/29"}')

    assert store.add(given_run) is True
    assert list(store.runs()) == [given_run]


def test_adding_a_run_again_changes_nothing(store):
    store.add(run())

    assert store.add(run()) is False
    assert len(list(store.runs())) == 1


def test_a_run_id_with_other_facts_is_refused(store):
    store.add(run())

    with pytest.raises(ConfigError, match="lab1-0: is in the history already, with other facts"):
        store.add(run(value=11.0))
    assert list(store.runs()) == [run()]


def test_the_order_of_facts_does_not_make_another_run(store):
    store.add(run())
    turned = dataclasses.replace(run(), facts=run().facts[::-1])

    assert store.add(turned) is False


def test_a_series_is_read_oldest_first_and_cut_at_the_old_end(store):
    for night in (2, 0, 1):
        store.add(run(night, value=10.0 + night))

    assert [point.value for point in store.series(key(1))] == [11.0, 12.0, 13.0]
    assert [point.run for point in store.series(key(1), at_most=2)] == ["lab1-1", "lab1-2"]
    assert store.series(key(1))[0].time_utc == "2026-01-01T00:00:00+00:00"
    assert store.series(key(99)) == ()


def test_another_fingerprint_is_another_series(store):
    store.add(run())

    assert store.series(key(0, fingerprint="coral/30")) == ()
    assert store.keys() == (key(0), key(1), key(2))


def test_the_newest_run_stands_against_the_one_before_of_its_host(store):
    store.add(run(0, value=10.0))
    store.add(run(1, host="lab2", value=99.0))
    store.add(run(2, facts=4, value=11.0))

    newest, before, changes = store.newest_against_before()

    assert (newest, before) == ("lab1-2", "lab1-0")
    assert [(one.series.subject, one.was, one.now) for one in changes] == [
        ("net0", 10.0, 11.0), ("net1", 11.0, 12.0), ("net2", 12.0, 13.0), ("net3", None, 14.0),
    ]  # fmt: skip
    assert (changes[0].outcome_was, changes[3].outcome_was) == ("PASS", "")


def test_without_two_runs_there_is_nothing_to_compare(store):
    with pytest.raises(ConfigError, match="has no run"):
        store.newest_against_before()
    store.add(run())
    with pytest.raises(ConfigError, match="is the first of its host"):
        store.newest_against_before()
    with pytest.raises(ConfigError, match="has no run of lab9"):
        store.newest_against_before("lab9")


def test_times_of_any_zone_are_kept_in_utc(store):
    store.add(dataclasses.replace(run(), time_utc="2026-01-01T02:00:00+02:00"))

    assert next(store.runs()).time_utc == "2026-01-01T00:00:00+00:00"


def test_text_from_outside_is_only_data(store):
    hostile = run(host="'; drop table run; --", name="%s {} \\ é")
    store.add(hostile)

    assert list(store.runs()) == [hostile]


def test_a_run_without_facts_and_one_with_several_attempts_are_kept(store):
    (fact,) = run(facts=1).facts
    again = dataclasses.replace(fact, attempt=1, value=10.2)
    store.add(dataclasses.replace(run(facts=0), id="empty"))
    store.add(dataclasses.replace(run(1), facts=(fact, again)))

    assert [point.attempt for point in store.series(key())] == [0, 1]
    assert [len(one.facts) for one in store.runs()] == [0, 2]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.floats(allow_nan=False, allow_infinity=False)),
        unique_by=lambda pair: pair[0],
    )
)
def test_any_finite_numbers_come_back_exactly(store, pairs):
    name = f"run {next(NUMBERS)}"
    facts = tuple(FactEntry(series=key(i), value=v, high=v) for i, v in pairs)
    given_run = RunEntry(id=name, time_utc="2026-01-01T00:00:00+00:00", facts=facts)
    store.add(given_run)

    (back,) = [one for one in store.runs() if one.id == name]

    assert set(back.facts) == set(facts)
    assert [fact.series.parts for fact in back.facts] == sorted(fact.series.parts for fact in facts)


def test_the_migrations_make_the_tables_of_the_code(store):
    with store.engine.connect() as connection:
        migration = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(migration, tables.meta) == []


def test_what_a_run_has_asked_outlives_it_until_it_is_over(address):
    with Store.open(address) as store:
        store.note("one", "plan", ["a", "b"])
        store.accept("one", "plan", {"a": "first"})
        store.accept("one", "plan", {"a": "second"})

    with Store.open(address) as store:
        assert store.left("plan") == ("one", ("first",))
        assert store.left("another plan") == ("", ())
        store.forget("one")
        assert store.left("plan") == ("", ())


@pytest.fixture
def newer_harness(tmp_path, monkeypatch):
    """A harness whose schema is one migration ahead, from here on."""
    folder = tmp_path / "migrations"
    shutil.copytree(engines.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0005_note.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        "revision, down_revision = '0005', '0004'\n"
        "def upgrade():\n"
        "    op.add_column('run', sa.Column('note', sa.Text))\n"
    )
    return lambda: monkeypatch.setattr(engines, "MIGRATIONS", folder)


def test_an_older_schema_is_refused_with_the_command_that_migrates_it(address, newer_harness):
    with Store.open(address) as store:
        store.add(run())
    newer_harness()

    with pytest.raises(ConfigError, match=r"schema is 0004, .* needs 0005.*harness history migr"):
        Store.open(address)
    with Store.open(address, migrate=True) as store:
        assert list(store.runs()) == [run()]
        with store.engine.connect() as connection:
            assert engines.revision(connection) == "0005"


def test_a_newer_schema_is_refused(address, newer_harness, monkeypatch):
    with monkeypatch.context():
        newer_harness()
        Store.open(address).close()
    monkeypatch.undo()

    with pytest.raises(ConfigError, match="0005 is of a newer harness"):
        Store.open(address, migrate=True)


def test_which_op_ran_where_is_kept_beside_a_count_and_is_no_part_of_what_tells_runs_apart(address):
    placement = '[[0,"CONV_2D","npu",""]]'
    placed = run(placement=placement)
    with Store.open(address) as store:
        store.add(placed)

        assert [fact.placement for fact in store.run(placed.id).facts] == [placement] * 3
        assert store.add(run()) is False
        assert store.run("another") is None


def test_a_table_of_something_else_is_left_alone(address):
    engine = engines.connect(address)
    with engine.begin() as connection:
        connection.execute(text("create table run (note text)"))
    engine.dispose()

    with pytest.raises(ConfigError, match="of something else"):
        Store.open(address, migrate=True)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("mysql://root@localhost/x", "mysql: no such history"),
        ("postgresql://nobody:secret@127.0.0.1:9/x", "does not answer"),
        ("nowhere/history.db", "its folder does not exist"),
        ("://", "no database address"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_without_its_password(
    address, says, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match=says) as error:
        Store.open(address)
    assert "secret" not in str(error.value)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "history.db"
    path.write_text("no database " * 100)

    with pytest.raises(ConfigError, match="file is not a database"):
        Store.open(str(path))


def test_hosts_that_write_at_once_lose_nothing(address):
    """Both begin with an empty database, and share all series but no run."""
    writers = [writer(address, host, 8, 40) for host in ("lab1", "lab2", "lab1")]
    ends = [one.communicate(timeout=120) and one.returncode for one in writers]

    assert ends == [0, 0, 0]
    with Store.open(address) as store:
        kept = {one.id: len(one.facts) for one in store.runs()}
    assert kept == {f"{host}-{night}": 40 for host in ("lab1", "lab2") for night in range(8)}


def test_a_kill_during_ingest_loses_nothing_acknowledged(address):
    Store.open(address).close()
    with writer(address, "lab1", 10_000, 60) as killed:
        assert killed.stdout is not None
        said = [killed.stdout.readline().strip() for _ in range(5)]
        killed.send_signal(signal.SIGKILL)
        said += killed.stdout.read().split()

    with Store.open(address) as store:
        kept = {one.id: len(one.facts) for one in store.runs()}
        store.add(run(0, 60, host="lab3"))
    assert len(said) >= 5
    assert set(said) <= set(kept)
    assert set(kept.values()) == {60}


def test_a_crash_of_the_server_loses_nothing_acknowledged():
    needs.installed(postgres.missing())
    with postgres.server() as server:
        address = server.database("history")
        with writer(address, "lab1", 10_000, 20) as writing:
            assert writing.stdout is not None
            said = [writing.stdout.readline().strip() for _ in range(5)]
            server.kill()
            said += writing.stdout.read().split()
        assert writing.returncode == 1
        server.start()
        with Store.open(address) as store:
            kept = {one.id for one in store.runs()}
    assert set(said) <= kept


def plan_of(store, statement):
    """Return how the database means to answer a question."""
    dialect = store.engine.dialect
    compiled = statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    explain = "explain query plan " if dialect.name == "sqlite" else "explain "
    with store.engine.connect() as connection:
        if dialect.name == "postgresql":
            connection.execute(text("set enable_seqscan = off"))  # few rows are read whole else
        rows = connection.exec_driver_sql(explain + str(compiled).replace("%", "%%"))
        return "\n".join(str(row) for row in rows)


def test_both_questions_are_answered_by_an_index(store):
    for night in range(3):
        store.add(run(night, 50))

    assert "ix_fact_series_id_time_utc" in plan_of(store, queries.points(key(1), 100))
    plan = plan_of(store, queries.changes(1, 2))
    assert "pk_fact" in plan or "USING PRIMARY KEY" in plan


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": ""}, "id of a run is empty"),
        ({"id": "a\nb"}, "can be printed"),
        ({"id": "a" * 501}, "at most 500"),
        ({"time_utc": "yesterday"}, "no ISO 8601 time"),
        ({"time_utc": "2026-01-01T00:00:00"}, "has no zone"),
        ({"facts": run(facts=1).facts * 2}, "is there twice as attempt 0"),
    ],
)
def test_a_run_that_cannot_be_kept_is_refused(change, says):
    with pytest.raises(ConfigError, match=says):
        dataclasses.replace(run(), **change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"value": float("nan")}, "is no fact"),
        ({"high": float("inf")}, "is no fact"),
        ({"outcome": "MAYBE"}, "MAYBE"),
        ({"attempt": -1}, "attempt -1"),
        ({"provenance": "x" * 2**21}, "longer than 1 MiB"),
    ],
)
def test_a_fact_that_cannot_be_kept_is_refused(change, says):
    (fact,) = run(facts=1).facts

    with pytest.raises(ConfigError, match=says):
        dataclasses.replace(fact, **change)


def test_a_series_wants_a_subject_a_metric_and_evidence():
    with pytest.raises(ConfigError, match="subject of a series is empty"):
        key(subject="")
    with pytest.raises(ConfigError, match="metric of a series is empty"):
        key(metric="")
    assert isinstance(key(), SeriesKey)


def test_an_acknowledgement_is_kept_and_a_later_one_takes_its_place(store):
    first = Acknowledged(finding="1f2e3d", because="on purpose", until="2026-02-01")
    later = Acknowledged(finding="1f2e3d", because="still", until="2026-03-01")

    store.acknowledge(first)
    store.acknowledge(later)

    assert store.acknowledged() == (later,)


def test_the_runs_of_the_newest_days_are_counted_from_the_newest_run(store):
    for night in (0, 5, 9):
        store.add(run(night))

    assert [one.id for one in store.runs(days=4)] == ["lab1-5", "lab1-9"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"until": "soon"}, "is no day"),
        ({"because": " "}, "a reason has"),
        ({"because": "two\nlines"}, "a reason has"),
    ],
)
def test_an_acknowledgement_wants_a_day_and_a_reason(change, says):
    with pytest.raises(ConfigError, match=says):
        Acknowledged(**({"finding": "x", "because": "y", "until": "2026-02-01"} | change))
