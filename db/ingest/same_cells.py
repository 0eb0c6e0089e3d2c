"""Cells that are counted in two slides, because files were copied or exported again, or a folder was moved.

Each completed slide is compared once with all others, through the index on the bytes of counted images. What is found is only
noted; whether both slides still count the cells is asked when they are shown.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, func, literal, select, update
from sqlalchemy.orm import aliased

from smearcount.db.schema import IS_COUNTED, Image, ImageState

_IMAGES_PER_STATEMENT = 500

_OTHER = aliased(Image, name="other")
# Written into the statement, because a database uses no partial index for a parameter.
_IS_COUNTED = _OTHER.state == literal(ImageState.DONE.value, literal_execute=True)
_ELSEWHERE = (_OTHER.sha256 == Image.sha256) & (_OTHER.slide_id != Image.slide_id)


def note_same_cells(connection: Connection, slide_ids: Sequence[int]) -> None:
    """Note at the images of slides in which other slide their bytes are counted as well; the caller has locked the slides."""
    elsewhere = select(_OTHER.id).where(_ELSEWHERE, _IS_COUNTED).correlate(Image)
    newest = select(func.max(_OTHER.slide_id)).where(_ELSEWHERE, _IS_COUNTED).correlate(Image)
    found = select(Image.id).where(Image.slide_id.in_(slide_ids), IS_COUNTED, elsewhere.exists())
    ids = connection.execute(found.order_by(Image.id)).scalars().all()
    for start in range(0, len(ids), _IMAGES_PER_STATEMENT):
        these = Image.id.in_(ids[start : start + _IMAGES_PER_STATEMENT])
        connection.execute(update(Image).where(these).values(same_cells_in=newest.scalar_subquery()))
