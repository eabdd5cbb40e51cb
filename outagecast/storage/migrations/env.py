"""Run by alembic: migrates over the connection that storage/engine.py hands in."""

from alembic import context

from outagecast.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
