"""The order in which rows are locked: slides before images, and each by their ids.

Two transactions that take the same locks in the same order may wait for each other's end, but never for each other.
PostgreSQL ends one of two that do. SQLite lets only one transaction write at a time, so there is nothing to lock.
"""

from sqlalchemy import ColumnElement, Connection, select

from db.schema import Image, Slide


def lock_slides(connection: Connection, condition: ColumnElement[bool]) -> None:
    """Keep all others from writing to the slides until the transaction ends; before `lock_images`, never after."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(Slide.id).where(condition).order_by(Slide.id).with_for_update()).all()


def lock_images(connection: Connection, condition: ColumnElement[bool]) -> None:
    """Keep all others from writing to the images until the transaction ends."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(Image.id).where(condition).order_by(Image.id).with_for_update()).all()
