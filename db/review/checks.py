"""Checks of what a person gives, before anything is written: names, texts and ids of slides."""

from sqlalchemy import Connection, select

from smearcount.db.engine.paging import is_key, is_storable
from smearcount.db.errors import UnknownSlide
from smearcount.db.review.errors import ReviewRefused
from smearcount.db.schema import Slide

#: Longest name and longest text, in characters.
LONGEST_NAME = 200
LONGEST_TEXT = 4000


def checked_name(name: str) -> str:
    """Return the name of a person without surrounding white space, as it is stored.

    Raises:
        ReviewRefused: the name is empty, too long, or holds characters that cannot be printed.
    """
    stripped = name.strip()
    if not stripped or len(stripped) > LONGEST_NAME or not stripped.isprintable():
        raise ReviewRefused(f"a reviewer's name has 1 to {LONGEST_NAME} printable characters")
    return stripped


def checked_text(text: str | None) -> str | None:
    """Return a reason or comment without surrounding white space, as it is stored; None if it is empty.

    Raises:
        ReviewRefused: the text is too long, or holds characters that a database cannot store.
    """
    stripped = (text or "").strip()
    if len(stripped) > LONGEST_TEXT or not is_storable(stripped):
        raise ReviewRefused(f"a reason or comment has at most {LONGEST_TEXT} characters, none of them NUL")
    return stripped or None


def require_slide(connection: Connection, slide_id: int) -> None:
    """Check that a slide exists.

    Raises:
        UnknownSlide: there is no such slide.
    """
    if not is_key(slide_id) or connection.execute(select(Slide.id).where(Slide.id == slide_id)).first() is None:
        raise UnknownSlide(f"there is no slide {slide_id}")
