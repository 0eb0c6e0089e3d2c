"""How often slides have been signed, for forms that tell a first result from one that replaces it."""

from collections.abc import Collection

from sqlalchemy import func, select

from db.database import Database
from db.paging import is_key
from db.schema import SlideEventKind, SlideEventRow


def times_signed(database: Database, slide_ids: Collection[int]) -> dict[int, int]:
    """Return how many sign-offs each of the slides has ever had; those without any are left out."""
    query = (
        select(SlideEventRow.slide_id, func.count().label("times"))
        .where(
            SlideEventRow.slide_id.in_([slide_id for slide_id in slide_ids if is_key(slide_id)]),
            SlideEventRow.kind == SlideEventKind.SIGN_OFF,
        )
        .group_by(SlideEventRow.slide_id)
    )
    with database.reading() as connection:
        return {row.slide_id: row.times for row in connection.execute(query)}
