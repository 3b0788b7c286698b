"""Ask a database for one series, for two runs side by side, or for whole runs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, case, delete, func, insert, select

from harness.errors import ConfigError
from harness.history.entries import FactEntry, RunEntry, SeriesKey
from harness.history.rows import Acknowledged, Difference, SeriesPoint
from harness.history.store import tables
from harness.history.store.ingest import OUTCOMES

_KEY = tuple(c for c in tables.series.columns if c.name not in ("id", "sha256"))
_KEY_NAMES = tuple(column.name for column in _KEY)


def points(key: SeriesKey, at_most: int) -> Select[Any]:
    """Return the question for the latest facts of a series, newest first."""
    fact, run = tables.fact, tables.run
    number = select(tables.series.c.id).where(tables.series.c.sha256 == key.digest)
    return (
        select(
            fact.c.time_utc,
            fact.c.attempt,
            fact.c.value,
            fact.c.low,
            fact.c.high,
            fact.c.outcome,
            run.c.name,
            run.c.commit,
        )
        .join(run, run.c.id == fact.c.run_id)
        .where(fact.c.series_id == number.scalar_subquery())
        .order_by(fact.c.time_utc.desc())
        .limit(at_most)
    )


def changes(newest: int, before: int) -> Select[Any]:
    """Return the question for each series of two runs, by their row ids."""
    fact = tables.fact
    first = fact.c.attempt == 0

    def of(run_id: int, column: Any) -> Any:
        return func.max(case((fact.c.run_id == run_id, column)))

    both = (
        select(
            fact.c.series_id,
            of(before, fact.c.value).label("was"),
            of(newest, fact.c.value).label("now"),
            of(before, fact.c.outcome).label("outcome_was"),
            of(newest, fact.c.outcome).label("outcome_now"),
        )
        .where(fact.c.run_id.in_([newest, before]), first)
        .group_by(fact.c.series_id)
        .subquery()
    )
    return select(*_KEY, both.c.was, both.c.now, both.c.outcome_was, both.c.outcome_now).join(
        both, both.c.series_id == tables.series.c.id
    )


def series(connection: Connection, key: SeriesKey, at_most: int) -> tuple[SeriesPoint, ...]:
    """Return the latest facts of a series, oldest first."""
    rows = connection.execute(points(key, at_most)).all()
    return tuple(
        SeriesPoint(
            time_utc=row.time_utc.isoformat(),
            run=row.name,
            commit=row.commit,
            attempt=row.attempt,
            value=row.value,
            low=row.low,
            high=row.high,
            outcome=OUTCOMES[row.outcome],
        )
        for row in reversed(rows)
    )


def keys(connection: Connection) -> tuple[SeriesKey, ...]:
    """Return every series, sorted."""
    rows = connection.execute(select(*_KEY)).mappings()
    return tuple(sorted((SeriesKey(**row) for row in rows), key=lambda key: key.parts))


def two_newest(connection: Connection, host: str | None) -> tuple[tuple[int, str], ...]:
    """Return row id and name of the newest run, of a host if given, and of that host's before."""
    run = tables.run
    columns = select(run.c.id, run.c.name, run.c.host, run.c.time_utc)
    latest = columns.order_by(run.c.time_utc.desc(), run.c.id.desc()).limit(1)
    newest = connection.execute(
        latest if host is None else latest.where(run.c.host == host)
    ).first()
    if newest is None:
        raise ConfigError(f"the history has no run{'' if host is None else f' of {host}'}")
    before = connection.execute(
        columns.where(run.c.host == newest.host, run.c.time_utc <= newest.time_utc)
        .where(run.c.id != newest.id)
        .order_by(run.c.time_utc.desc(), run.c.id.desc())
        .limit(1)
    ).first()
    return ((newest.id, newest.name), *(((before.id, before.name),) if before else ()))


def newest_against_before(
    connection: Connection, host: str | None
) -> tuple[str, str, tuple[Difference, ...]]:
    """Return names of the newest run and the one before, and every series of either, sorted."""
    runs = two_newest(connection, host)
    if len(runs) < 2:
        raise ConfigError(f"run {runs[0][1]} is the first of its host: nothing to compare with")
    (newest, name), (before, name_before) = runs
    rows = connection.execute(changes(newest, before))
    found = [
        Difference(
            series=_key(row),
            was=row.was,
            now=row.now,
            outcome_was=OUTCOMES[row.outcome_was or 0],
            outcome_now=OUTCOMES[row.outcome_now or 0],
        )
        for row in rows
    ]
    return name, name_before, tuple(sorted(found, key=lambda change: change.series.parts))


def run_of(connection: Connection, name: str) -> RunEntry | None:
    """Return the run of an id with its facts, or None where there is none."""
    run = tables.run
    head = connection.execute(select(run).where(run.c.name == name)).first()
    return _run(connection, head) if head is not None else None


def runs(connection: Connection, since: datetime | None) -> Iterator[RunEntry]:
    """Yield every run since a time with its facts, oldest first, one at a time."""
    run = tables.run
    wanted = select(run).order_by(run.c.time_utc, run.c.name)
    if since is not None:
        wanted = wanted.where(run.c.time_utc >= since)
    heads = connection.execute(wanted).all()
    for head in heads:
        yield _run(connection, head)


def _run(connection: Connection, head: Row[Any]) -> RunEntry:
    return RunEntry(
        id=head.name,
        time_utc=head.time_utc.isoformat(),
        commit=head.commit,
        host=head.host,
        facts=_facts(connection, head.id),
    )


def latest_time(connection: Connection) -> datetime | None:
    """Return when the newest run began, or None without runs."""
    run = tables.run
    newest = select(run.c.time_utc).order_by(run.c.time_utc.desc()).limit(1)
    return connection.execute(newest).scalar()


def acknowledged(connection: Connection) -> tuple[Acknowledged, ...]:
    """Return what a person has acknowledged, sorted by finding."""
    table = tables.acknowledged
    rows = connection.execute(select(table).order_by(table.c.finding))
    return tuple(
        Acknowledged(finding=row.finding, because=row.because, until=row.until) for row in rows
    )


def acknowledge(connection: Connection, one: Acknowledged) -> None:
    """Keep an acknowledgement in place of an earlier one of the same finding."""
    table = tables.acknowledged
    connection.execute(delete(table).where(table.c.finding == one.finding))
    connection.execute(insert(table).values(**asdict(one)))


def _key(row: Sequence[Any]) -> SeriesKey:
    """Return the series of a row that begins with the columns of its key."""
    return SeriesKey(**dict(zip(_KEY_NAMES, row, strict=False)))


def _facts(connection: Connection, run_id: int) -> tuple[FactEntry, ...]:
    """Return the facts of a run, by series and attempt."""
    fact, blob, placed = tables.fact, tables.provenance, tables.placement
    nodes = blob.alias("nodes")
    rows = connection.execute(
        select(
            *_KEY,
            fact.c.attempt,
            fact.c.value,
            fact.c.low,
            fact.c.high,
            fact.c.outcome,
            blob.c.blob,
            nodes.c.blob.label("placement"),
        )
        .select_from(
            fact.join(tables.series)
            .outerjoin(blob, blob.c.id == fact.c.provenance_id)
            .outerjoin(
                placed,
                (placed.c.run_id == fact.c.run_id)
                & (placed.c.series_id == fact.c.series_id)
                & (fact.c.attempt == 0),
            )
            .outerjoin(nodes, nodes.c.id == placed.c.blob_id)
        )
        .where(fact.c.run_id == run_id)
    )
    facts = [
        FactEntry(
            series=_key(row),
            value=row.value,
            low=row.low,
            high=row.high,
            outcome=OUTCOMES[row.outcome],
            attempt=row.attempt,
            provenance=row.blob or "",
            placement=row.placement,
        )
        for row in rows
    ]
    return tuple(sorted(facts, key=lambda one: (one.series.parts, one.attempt)))
