"""The tables of the history; `migrations/` makes them."""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

meta = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up INTEGER keys only


class Time(TypeDecorator[datetime]):
    """A time in UTC: `timestamptz` on PostgreSQL, text that sorts by time on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time as its database keeps it."""
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time with its zone, which SQLite leaves out."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


provenance = Table(
    "provenance",
    meta,
    Column("id", _ID, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("blob", Text, nullable=False),
)

run = Table(
    "run",
    meta,
    Column("id", _ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("time_utc", Time, nullable=False),
    Column("commit", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Index("ix_run_host_time_utc", "host", "time_utc"),
    Index("ix_run_time_utc", "time_utc"),
)

series = Table(
    "series",
    meta,
    Column("id", _ID, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("subject", Text, nullable=False),
    Column("variant", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("delegate", Text, nullable=False),
    Column("size", Text, nullable=False),
    Column("frame", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Index("ix_series_subject_variant_profile", "subject", "variant", "profile"),
)

fact = Table(
    "fact",
    meta,
    Column("run_id", _ID, ForeignKey("run.id"), primary_key=True),
    Column("series_id", _ID, ForeignKey("series.id"), primary_key=True),
    Column("attempt", SmallInteger, primary_key=True),
    Column("time_utc", Time, nullable=False),
    Column("value", Double, nullable=False),
    Column("low", Double),
    Column("high", Double),
    Column("outcome", SmallInteger, nullable=False),
    Column("provenance_id", _ID, ForeignKey("provenance.id")),
    Index("ix_fact_series_id_time_utc", "series_id", "time_utc"),
    sqlite_with_rowid=False,
)
"""The primary key finds a run; the index finds a series."""

placement = Table(
    "placement",
    meta,
    Column("run_id", _ID, ForeignKey("run.id"), primary_key=True),
    Column("series_id", _ID, ForeignKey("series.id"), primary_key=True),
    Column("blob_id", _ID, ForeignKey("provenance.id"), nullable=False),
    sqlite_with_rowid=False,
)
"""Which op ran where, of the first attempts of counts of ops; the texts lie with the provenances,
each once."""

acknowledged = Table(
    "acknowledged",
    meta,
    Column("finding", Text, primary_key=True),
    Column("because", Text, nullable=False),
    Column("until", Text, nullable=False),
)
"""Findings that a person knows of: why they may stay, and until which date."""

asked = Table(
    "asked",
    meta,
    Column("run", Text, primary_key=True),
    Column("request", Text, primary_key=True),
    Column("plan", Text, nullable=False),
    Column("asked_utc", Time, nullable=False),
    Column("line", Text),
    Index("ix_asked_plan_asked_utc", "plan", "asked_utc"),
    sqlite_with_rowid=False,
)
"""What runs that are not over have asked, by id and content, and the line of the fact that came."""
