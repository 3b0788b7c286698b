"""Make the table that says which op ran where, beside counts of ops."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TO = {"run_id": "run", "series_id": "series", "blob_id": "provenance"}


def upgrade() -> None:
    """Make it."""
    op.create_table(
        "placement",
        *(sa.Column(name, _ID, nullable=False) for name in _TO),
        sa.PrimaryKeyConstraint("run_id", "series_id", name="pk_placement"),
        *(
            sa.ForeignKeyConstraint([name], [f"{table}.id"], name=f"fk_placement_{name}_{table}")
            for name, table in _TO.items()
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("placement")
