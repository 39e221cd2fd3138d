"""Alembic's entry: runs on the connection that `sessile.stores.sql.migrate` hands over, inside its transaction."""

from alembic import context

from sessile.stores.sql.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
