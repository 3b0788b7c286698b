"""Measure the history at a million facts in SQLite and ten million in PostgreSQL, as ratios.

Questions are compared with reading the whole table once, ingest with parsing the same run from
its JSON line: both on the same machine in the same minute. The milliseconds are printed.
"""

import itertools
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'history' is not installed")

from sqlalchemy import text

from harness import schema
from harness.history.entries import FactEntry, RunEntry, SeriesKey
from harness.history.store import Store, queries
from tests import needs, postgres

pytestmark = pytest.mark.history

SERIES = 5_000
SIZES = {"sqlite": 200, "postgresql": 2_000}
"""Runs of each kind of database."""
START = datetime(2020, 1, 1, tzinfo=UTC)
_names = itertools.count()


def key(index):
    return SeriesKey(
        subject=f"net{index}", variant="int8_ptq", profile="pixel4", delegate="nnapi",
        size="1280x720", metric="median_ms", evidence="PHONE", fingerprint="coral/29",
    )  # fmt: skip


def run(name, night):
    facts = tuple(
        FactEntry(series=key(i), value=10.0 + i, low=9.0, high=11.0, outcome="PASS")
        for i in range(SERIES)
    )
    when = START + timedelta(days=night)
    return RunEntry(id=name, time_utc=when.isoformat(), host="lab", facts=facts)


FILL = {
    "sqlite": """
        with recursive n(i) as (select 2 union all select i + 1 from n where i < {runs})
        insert into run (id, name, time_utc, "commit", host, sha256)
        select i, 'run' || i, datetime('2020-01-01', '+' || i || ' days'), '', 'lab', '' from n;
        insert into fact select r.id, f.series_id, 0, r.time_utc, f.value + r.id % 7, 9, 11, 1, null
        from run r join fact f on f.run_id = 1 where r.id > 1 order by r.id, f.series_id;
        analyze""",
    "postgresql": """
        set session_replication_role = replica; -- checks no foreign key: the rows are right
        alter table fact drop constraint pk_fact; drop index ix_fact_series_id_time_utc;
        insert into run (id, name, time_utc, commit, host, sha256)
        select i, 'run' || i, timestamptz '2020-01-01' + i * interval '1 day', '', 'lab', ''
        from generate_series(2, {runs}) i;
        select setval(pg_get_serial_sequence('run', 'id'), {runs});
        insert into fact select r.id, f.series_id, 0, r.time_utc, f.value + r.id % 7, 9, 11, 1, null
        from run r join fact f on f.run_id = 1 where r.id > 1;
        alter table fact add constraint pk_fact primary key (run_id, series_id, attempt);
        create index ix_fact_series_id_time_utc on fact (series_id, time_utc);
        set session_replication_role = origin;
        analyze""",
}


@pytest.fixture(scope="module", params=sorted(SIZES))
def store(request, tmp_path_factory):
    """A history with 5,000 facts a night, most of them made by the database itself."""
    if request.param == "sqlite":
        yield from filled(str(tmp_path_factory.mktemp("history") / "history.db"))
        return
    needs.installed(postgres.missing())
    with postgres.server() as server:
        yield from filled(server.database("history"))


def filled(address):
    with Store.open(address) as store:
        store.add(run("run1", 1))
        kind = store.engine.dialect.name
        with store.engine.begin() as connection:
            for statement in FILL[kind].format(runs=SIZES[kind]).split(";"):
                connection.execute(text(statement))
        yield store


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def whole_table_s(store):
    """Return how long the database takes to read every fact once."""
    with store.engine.connect() as connection:
        if store.engine.dialect.name == "postgresql":
            connection.execute(text("set max_parallel_workers_per_gather = 0"))
        return seconds(lambda: connection.execute(text("select avg(value) from fact")).all())


def plan(store, statement):
    compiled = statement.compile(store.engine, compile_kwargs={"literal_binds": True})
    explain = {"sqlite": "explain query plan", "postgresql": "explain"}[store.engine.dialect.name]
    with store.engine.connect() as connection:
        return str(connection.exec_driver_sql(f"{explain} {compiled}").all())


def test_one_series_takes_a_small_part_of_reading_all(store, benchmark):
    found = benchmark.pedantic(store.series, args=(key(77),), rounds=30, warmup_rounds=2)

    ratio = benchmark.stats.stats.median / whole_table_s(store)
    benchmark.extra_info["of_reading_all"] = round(ratio, 4)
    assert len(found) == SIZES[store.engine.dialect.name]
    assert "ix_fact_series_id_time_utc" in plan(store, queries.points(key(77), 10_000))
    assert ratio < 0.2


def test_the_newest_run_against_the_one_before_is_found_by_an_index(store, benchmark):
    newest, before, found = benchmark.pedantic(
        store.newest_against_before, rounds=15, warmup_rounds=2
    )

    ratio = benchmark.stats.stats.median / whole_table_s(store)
    benchmark.extra_info["of_reading_all"] = round(ratio, 4)
    last = SIZES[store.engine.dialect.name]
    assert (newest, before, len(found)) == (f"run{last}", f"run{last - 1}", SERIES)
    asked = plan(store, queries.changes(last, last - 1))
    assert "pk_fact" in asked or "USING PRIMARY KEY" in asked


def test_a_run_is_taken_in_about_as_fast_as_it_is_parsed(store, benchmark):
    line = json.dumps(schema.dump(run("parsed", 1)))
    parse_s = min(
        seconds(lambda: schema.parse(RunEntry, json.loads(line), where="a line")) for _ in range(3)
    )

    def another():
        return (run(f"added{next(_names)}", 0),), {}

    benchmark.pedantic(store.add, setup=another, rounds=8)

    took_s = benchmark.stats.stats.median
    benchmark.extra_info["facts_per_second"] = round(SERIES / took_s)
    benchmark.extra_info["of_parsing"] = round(took_s / parse_s, 2)
    assert took_s < 5 * parse_s
