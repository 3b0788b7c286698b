"""Keep what a run that is not over has asked, and each fact that has come; it outlives the run."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, delete, select, update

from harness.history.store import tables
from harness.history.store.ingest import insert_of

_TABLE = tables.asked


def note(connection: Connection, run: str, plan: str, requests: Sequence[str]) -> None:
    """Note what a run sets out to ask; what is noted already stays."""
    now = datetime.now(UTC)
    rows = [
        {"run": run, "request": one, "plan": plan, "asked_utc": now}
        for one in dict.fromkeys(requests)
    ]
    if rows:
        connection.execute(
            insert_of(connection, _TABLE).on_conflict_do_nothing(index_elements=["run", "request"]),
            rows,
        )


def accept(connection: Connection, run: str, lines: Mapping[str, str]) -> None:
    """Note the facts that have come, by request; of two for one request the first counts."""
    if lines:
        connection.execute(
            update(_TABLE)
            .where(_TABLE.c.run == run, _TABLE.c.request == bindparam("one"))
            .where(_TABLE.c.line.is_(None))
            .values(line=bindparam("fact")),
            [{"one": request, "fact": line} for request, line in lines.items()],
        )


def left(connection: Connection, plan: str) -> tuple[str, tuple[str, ...]]:
    """Return the newest run of a plan that is not over, and its facts; '' where there is none."""
    newest = select(_TABLE.c.run).where(_TABLE.c.plan == plan)
    run = connection.execute(newest.order_by(_TABLE.c.asked_utc.desc()).limit(1)).scalar()
    if run is None:
        return "", ()
    lines = select(_TABLE.c.line).where(_TABLE.c.run == run, _TABLE.c.line.is_not(None))
    return run, tuple(connection.execute(lines).scalars())


def forget(connection: Connection, run: str) -> None:
    """Forget a run that is over."""
    connection.execute(delete(_TABLE).where(_TABLE.c.run == run))
