"""What Alembic runs for every migration: on the connection it is handed, in the transaction already open."""

from alembic import context

from smearcount.db.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transaction_per_migration=False,
)
context.run_migrations()
