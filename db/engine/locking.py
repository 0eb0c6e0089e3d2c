"""Locks of rows, and their order: slides before images, and both by ascending ids; the head of the audit chain comes last.

If all transactions lock in the same order, one may wait until another ends, but two never wait for each other. PostgreSQL
would abort one of two that do (a deadlock). SQLite lets only one transaction write at a time, so it needs no such locks.
"""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, select

from smearcount.db.schema import Image, Slide


def lock_slides(
    connection: Connection, condition: ColumnElement[bool], parameters: Mapping[str, object] | None = None
) -> None:
    """Keep other transactions from writing to slides until this one ends; never call this after `lock_images`.

    Args:
        connection: of a writing transaction.
        condition: which slides to lock.
        parameters: values of the condition's named parameters, if it has any.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(select(Slide.id).where(condition).order_by(Slide.id).with_for_update(), parameters).all()


def lock_images(
    connection: Connection, condition: ColumnElement[bool], parameters: Mapping[str, object] | None = None
) -> None:
    """Keep other transactions from writing to images until this one ends; arguments as for `lock_slides`."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(Image.id).where(condition).order_by(Image.id).with_for_update(), parameters).all()
