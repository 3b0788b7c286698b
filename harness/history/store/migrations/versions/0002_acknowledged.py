"""Make the table of findings that a person has acknowledged."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make it."""
    op.create_table(
        "acknowledged",
        sa.Column("finding", sa.Text, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("until", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("finding", name="pk_acknowledged"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("acknowledged")
