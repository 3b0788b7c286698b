"""Make the tables of runs, series and facts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.DateTime(timezone=True)
_SERIES = (
    "subject", "variant", "profile", "delegate", "size", "frame", "metric", "evidence",
    "fingerprint",
)  # fmt: skip


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "provenance",
        sa.Column("id", _ID, nullable=False),
        _text("sha256"),
        _text("blob"),
        sa.PrimaryKeyConstraint("id", name="pk_provenance"),
        sa.UniqueConstraint("sha256", name="uq_provenance_sha256"),
    )
    op.create_table(
        "run",
        sa.Column("id", _ID, nullable=False),
        _text("name"),
        sa.Column("time_utc", _TIME, nullable=False),
        _text("commit"),
        _text("host"),
        _text("sha256"),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.UniqueConstraint("name", name="uq_run_name"),
    )
    op.create_index("ix_run_host_time_utc", "run", ["host", "time_utc"])
    op.create_index("ix_run_time_utc", "run", ["time_utc"])
    op.create_table(
        "series",
        sa.Column("id", _ID, nullable=False),
        _text("sha256"),
        *(_text(name) for name in _SERIES),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("sha256", name="uq_series_sha256"),
    )
    op.create_index(
        "ix_series_subject_variant_profile", "series", ["subject", "variant", "profile"]
    )
    op.create_table(
        "fact",
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("series_id", _ID, nullable=False),
        sa.Column("attempt", sa.SmallInteger, nullable=False),
        sa.Column("time_utc", _TIME, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("low", sa.Double),
        sa.Column("high", sa.Double),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        sa.Column("provenance_id", _ID),
        sa.PrimaryKeyConstraint("run_id", "series_id", "attempt", name="pk_fact"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_fact_run_id_run"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_fact_series_id_series"),
        sa.ForeignKeyConstraint(
            ["provenance_id"], ["provenance.id"], name="fk_fact_provenance_id_provenance"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_fact_series_id_time_utc", "fact", ["series_id", "time_utc"])


def downgrade() -> None:
    """Drop them."""
    for name in ("fact", "series", "run", "provenance"):
        op.drop_table(name)
