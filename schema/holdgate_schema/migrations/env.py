"""Runs the migrations on the connection that the caller put into `config.attributes`."""

from alembic import context

from holdgate_schema.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, version_table="holdgate_migrations")
with context.begin_transaction():
    context.run_migrations()
