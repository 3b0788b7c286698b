"""Keep runs in a database: an SQLite file, or PostgreSQL for many hosts. The door to SQLAlchemy."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Engine

from harness.history.entries import RunEntry, SeriesKey
from harness.history.rows import Acknowledged, Difference, SeriesPoint
from harness.history.store import asked, engines, ingest, queries


class Store:
    """A history that is open; a context manager."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, address: str, *, migrate: bool = False) -> "Store":
        """Open a history, and make it where nothing is.

        Args:
            address: Path of an SQLite file, `sqlite:///FILE` or `postgresql://...`.
            migrate: Bring an older schema up to date, instead of refusing it.

        Raises:
            ConfigError: the database cannot be reached, is older or newer, or something else.
        """
        engine = engines.connect(address)
        try:
            engines.prepare(engine, migrate=migrate)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back its connections."""
        self.engine.dispose()

    def add(self, run: RunEntry) -> bool:
        """Take a run in, whole or not at all; once it returns, the run is on disk.

        Returns:
            Whether it is new; adding a run again changes nothing.

        Raises:
            ConfigError: a run of this id is there, with other facts.
        """
        with engines.writing(self.engine) as connection:
            return ingest.add(connection, run)

    def keys(self) -> tuple[SeriesKey, ...]:
        """Return every series, sorted."""
        with engines.reading(self.engine) as connection:
            return queries.keys(connection)

    def series(self, key: SeriesKey, *, at_most: int = 10_000) -> tuple[SeriesPoint, ...]:
        """Return the latest facts of a series, oldest first."""
        with engines.reading(self.engine) as connection:
            return queries.series(connection, key, at_most)

    def newest_against_before(
        self, host: str | None = None
    ) -> tuple[str, str, tuple[Difference, ...]]:
        """Return the ids of a host's newest run and the one before, and each series of either.

        Raises:
            ConfigError: there are not two runs of the host.
        """
        with engines.reading(self.engine) as connection:
            return queries.newest_against_before(connection, host)

    def run(self, name: str) -> RunEntry | None:
        """Return the run of an id with its facts, or None where there is none."""
        with engines.reading(self.engine) as connection:
            return queries.run_of(connection, name)

    def runs(self, *, days: int | None = None) -> Iterator[RunEntry]:
        """Yield every run with its facts, oldest first; those of the newest days if given."""
        with engines.reading(self.engine) as connection:
            newest = queries.latest_time(connection) if days is not None else None
            since = newest - timedelta(days=days) if newest and days is not None else None
            yield from queries.runs(connection, since)

    def acknowledged(self) -> tuple[Acknowledged, ...]:
        """Return what a person has acknowledged."""
        with engines.reading(self.engine) as connection:
            return queries.acknowledged(connection)

    def acknowledge(self, one: Acknowledged) -> None:
        """Keep an acknowledgement, in place of an earlier one of the same finding."""
        with engines.writing(self.engine) as connection:
            queries.acknowledge(connection, one)

    def note(self, run: str, plan: str, requests: Sequence[str]) -> None:
        """Note what a run sets out to ask, by the keys of the requests."""
        with engines.writing(self.engine) as connection:
            asked.note(connection, run, plan, requests)

    def accept(self, run: str, plan: str, lines: Mapping[str, str]) -> None:
        """Note the facts that have come, by request; the first for each counts."""
        with engines.writing(self.engine) as connection:
            asked.note(connection, run, plan, tuple(lines))
            asked.accept(connection, run, lines)

    def left(self, plan: str) -> tuple[str, tuple[str, ...]]:
        """Return the newest run of a plan that is not over, '' for none, and its facts."""
        with engines.reading(self.engine) as connection:
            return asked.left(connection, plan)

    def forget(self, run: str) -> None:
        """Forget what a run that is over has asked."""
        with engines.writing(self.engine) as connection:
            asked.forget(connection, run)
