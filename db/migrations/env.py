"""Alembic's entry point: it runs all migrations on the connection it is given, in the transaction that is open there."""

from alembic import context

from smearcount.db.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transaction_per_migration=False,
)
context.run_migrations()
