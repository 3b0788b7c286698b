"""Open a database, and make or check its schema."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import alembic.command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from harness.errors import ConfigError

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 72_007
"""Of PostgreSQL's advisory locks: two hosts do not migrate at once."""
_PRAGMAS = (
    "journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON",
)  # fmt: skip


def connect(address: str) -> Engine:
    """Return an engine for a database address or the path of an SQLite file.

    Raises:
        ConfigError: the address is of another kind of database, or its folder is missing.
    """
    url = _url(address)
    if url.get_backend_name() == "sqlite":
        if url.database and not Path(url.database).parent.is_dir():
            raise ConfigError(f"{url.database}: its folder does not exist; make it first")
        engine = create_engine(url)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(url, connect_args={"connect_timeout": 10}, pool_pre_ping=True)


def prepare(engine: Engine, *, migrate: bool) -> None:
    """Make the tables of an empty database; check, or bring up to date, those of another.

    Raises:
        ConfigError: it cannot be reached, holds something else, or is older or newer than this
            harness.
    """
    with reading(engine) as connection:
        if revision(connection) == _scripts(_config(connection)).get_current_head():
            return
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config = _config(connection)
        shown = engine.url.render_as_string(hide_password=True)
        if _outdated(connection, _scripts(config), shown, migrate=migrate):
            alembic.command.upgrade(config, "head")


def _outdated(
    connection: Connection, scripts: ScriptDirectory, shown: str, *, migrate: bool
) -> bool:
    """Return whether a database wants migrations.

    Raises:
        ConfigError: it must not have them, or not unasked.
    """
    head, here = scripts.get_current_head(), revision(connection)
    if here is None and inspect(connection).has_table("run"):
        raise ConfigError(f"{shown}: holds a table 'run' of something else")
    if here is not None and here not in {one.revision for one in scripts.walk_revisions()}:
        raise ConfigError(
            f"{shown}: its schema {here} is of a newer harness than this one, which knows "
            f"{head}; update the harness"
        )
    if here not in (None, head) and not migrate:
        raise ConfigError(
            f"{shown}: its schema is {here}, this harness needs {head}; make a copy, then run: "
            f"harness history migrate --history {shown}"
        )
    return here != head


def _scripts(config: Config) -> ScriptDirectory:
    return ScriptDirectory.from_config(config)


def revision(connection: Connection) -> str | None:
    """Return the revision of a database's schema, or None where it has none."""
    return MigrationContext.configure(connection).get_current_revision()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection whose transaction may write; commits at the end.

    Raises:
        ConfigError: the database cannot be reached or does not answer.
    """
    with _translated(engine), engine.connect() as connection:
        connection = connection.execution_options(harness_writes=True)
        with connection.begin():
            if connection.dialect.name == "postgresql":  # a server may be set to promise less
                connection.exec_driver_sql("set local synchronous_commit = on")
            yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection that sees one state of the database.

    Raises:
        ConfigError: the database cannot be reached or does not answer.
    """
    with _translated(engine), engine.connect() as connection:
        yield connection


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:  # the second comes from `_prepare_sqlite`
        shown = engine.url.render_as_string(hide_password=True)
        cause = getattr(error, "orig", None) or error
        first = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise ConfigError(f"{shown}: the database does not answer: {first}") from error


def _url(address: str) -> URL:
    """Return the address of a database; a bare path is an SQLite file."""
    if "://" not in address:
        return URL.create("sqlite", database=address)
    try:
        url = make_url(address)
    except ArgumentError:
        raise ConfigError(f"{address.split('://')[0]}://...: is no database address") from None
    backend = url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return url
    raise ConfigError(f"{backend}: no such history; give a path, sqlite:///FILE or postgresql://")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _prepare_sqlite(raw: sqlite3.Connection, _record: object) -> None:
    raw.isolation_level = None  # the module would begin transactions by itself, and too late
    for pragma in _PRAGMAS:
        raw.execute(f"pragma {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("harness_writes", False)
    connection.exec_driver_sql("begin immediate" if writes else "begin")
