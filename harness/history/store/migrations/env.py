"""Run migrations on the connection that the program hands over: no ini file, no address."""

from alembic import context

from harness.history.store import tables

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=tables.meta,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
context.run_migrations()
