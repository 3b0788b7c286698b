"""Make the table of what runs that are not over have asked, and of the facts that have come."""

import sqlalchemy as sa
from alembic import op

from harness.history.store.tables import Time

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make it."""
    op.create_table(
        "asked",
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("asked_utc", Time, nullable=False),
        sa.Column("line", sa.Text),
        sa.PrimaryKeyConstraint("run", "request", name="pk_asked"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_asked_plan_asked_utc", "asked", ["plan", "asked_utc"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("asked")
