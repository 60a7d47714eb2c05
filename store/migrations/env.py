"""Run by alembic: applies the revisions on the connection that `migrate` holds, in its transaction."""

from alembic import context

attributes = context.config.attributes
context.configure(connection=attributes["connection"], **attributes["options"])
context.run_migrations()
