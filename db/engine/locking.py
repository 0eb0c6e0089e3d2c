"""The order in which rows are locked: slides before images, and each by their ids.

Two transactions that take the same locks in the same order may wait for each other's end, but never for each other.
PostgreSQL ends one of two that do. SQLite lets only one transaction write at a time, so there is nothing to lock.
"""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, select

from smearcount.db.schema import Image, Slide


def lock_slides(
    connection: Connection, condition: ColumnElement[bool], parameters: Mapping[str, object] | None = None
) -> None:
    """Keep all others from writing to the slides until the transaction ends; before `lock_images`, never after.

    Args:
        connection: of the transaction.
        condition: which slides.
        parameters: what the names in the condition stand for, where it has any.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(select(Slide.id).where(condition).order_by(Slide.id).with_for_update(), parameters).all()


def lock_images(
    connection: Connection, condition: ColumnElement[bool], parameters: Mapping[str, object] | None = None
) -> None:
    """Keep all others from writing to the images until the transaction ends; arguments as for `lock_slides`."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(Image.id).where(condition).order_by(Image.id).with_for_update(), parameters).all()
