"""Take runs into a database: each whole or not at all, and once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from harness.errors import ConfigError
from harness.evidence import sha256_of
from harness.history.entries import RunEntry
from harness.history.store import tables

_CHUNK = 500
"""Rows of one statement: SQLite allows 32,766 parameters."""
OUTCOMES = ("", "PASS", "FAIL", "INCONCLUSIVE")
_FACT_COLUMNS = tuple(column.name for column in tables.fact.columns)
_COPY_TYPES = (
    "int8", "int8", "int2", "timestamptz", "float8", "float8", "float8", "int2", "int8",
)  # fmt: skip


def add(connection: Connection, entry: RunEntry) -> bool:
    """Add a run; the caller commits.

    Returns:
        Whether it is new.

    Raises:
        ConfigError: a run of this id is there, with other facts.
    """
    row = {
        "name": entry.id,
        "time_utc": entry.time(),
        "commit": entry.commit,
        "host": entry.host,
        "sha256": entry.digest,
    }
    added = connection.execute(
        insert_of(connection, tables.run)
        .values(row)
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(tables.run.c.id)
    ).scalar()
    if added is None:
        known = select(tables.run.c.sha256).where(tables.run.c.name == entry.id)
        if connection.execute(known).scalar_one() != entry.digest:
            raise ConfigError(
                f"run {entry.id}: is in the history already, with other facts; a run keeps its "
                "id only if nothing in it changes"
            )
        return False
    _add_facts(connection, added, entry)
    return True


def _add_facts(connection: Connection, run_id: int, entry: RunEntry) -> None:
    series = _ids(
        connection,
        tables.series,
        {
            one.series.digest: {"sha256": one.series.digest, **asdict(one.series)}
            for one in entry.facts
        },
    )
    blobs = _ids(
        connection,
        tables.provenance,
        {
            sha256_of(blob.encode()): {"sha256": sha256_of(blob.encode()), "blob": blob}
            for blob in {t for one in entry.facts for t in (one.provenance, one.placement) if t}
        },
    )
    placed = [
        {
            "run_id": run_id,
            "series_id": series[one.series.digest],
            "blob_id": blobs[sha256_of(one.placement.encode())],
        }
        for one in entry.facts
        if one.placement and one.attempt == 0
    ]
    if placed:
        connection.execute(insert(tables.placement), placed)
    rows = _rows(run_id, entry, series, blobs)
    if connection.dialect.name == "postgresql":
        _copy(connection, rows)
        return
    marks = ", ".join("?" * len(_FACT_COLUMNS))
    statement = f"insert into fact ({', '.join(_FACT_COLUMNS)}) values ({marks})"
    time = tables.fact.c.time_utc.type.dialect_impl(connection.dialect)
    bind = time.bind_processor(connection.dialect)
    text = bind(entry.time()) if bind else entry.time()
    facts = [(*row[:3], text, *row[4:]) for row in rows]
    if facts:
        connection.exec_driver_sql(statement, facts)


def _rows(
    run_id: int, entry: RunEntry, series: dict[str, int], blobs: dict[str, int]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a run's facts, in the order of the table's columns."""
    time = entry.time()
    for one in entry.facts:
        blob = blobs[sha256_of(one.provenance.encode())] if one.provenance else None
        yield (
            run_id,
            series[one.series.digest],
            one.attempt,
            time,
            float(one.value),
            _float(one.low),
            _float(one.high),
            OUTCOMES.index(one.outcome),
            blob,
        )


def _float(number: float | None) -> float | None:
    return None if number is None else float(number)


def _copy(connection: Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Send facts by PostgreSQL's COPY, in the transaction of the connection."""
    driver: Any = connection.connection.driver_connection
    columns = ", ".join(_FACT_COLUMNS)
    statement = f"copy fact ({columns}) from stdin (format binary)"
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(_COPY_TYPES)
            for row in rows:
                copy.write_row(row)
    except _driver_error(connection) as error:  # SQLAlchemy does not see what passes it by
        raise DBAPIError.instance(statement, None, error, _driver_error(connection)) from error


def _driver_error(connection: Connection) -> type[Exception]:
    """Return the root of the errors of the database's driver."""
    kind: type[Exception] = connection.dialect.loaded_dbapi.Error
    return kind


def _ids(connection: Connection, table: Table, wanted: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Return the id of each row by its digest; those that are missing are added."""
    found: dict[str, int] = {}
    digests = sorted(wanted)  # in one order on every host, so that none waits for another's lock
    for start in range(0, len(digests), _CHUNK):
        chunk = digests[start : start + _CHUNK]
        found |= _known(connection, table, chunk)
        missing = [wanted[digest] for digest in chunk if digest not in found]
        if missing:
            added = insert_of(connection, table).values(missing)
            connection.execute(added.on_conflict_do_nothing(index_elements=["sha256"]))
            found |= _known(connection, table, [one["sha256"] for one in missing])
    return found


def _known(connection: Connection, table: Table, digests: Sequence[str]) -> dict[str, int]:
    wanted = select(table.c.sha256, table.c.id).where(table.c.sha256.in_(digests))
    return {row.sha256: row.id for row in connection.execute(wanted)}


def insert_of(connection: Connection, table: Table) -> Any:
    """Return the insert of the database's dialect, which knows `on conflict do nothing`."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)
