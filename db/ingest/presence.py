"""Files that vanished from the inbox after they were journalled: noted at the image, which stays as it was counted."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import select, update

from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images
from smearcount.db.engine.parameters import in_list
from smearcount.db.schema import IS_CURRENT, IS_MISSING, Image

_FOLDERS_PER_QUERY = 500


def journalled_folders(database: Database, inbox_id: int) -> Iterator[str]:
    """Yield the folders of an inbox that hold current images, or did so, in the form of `inbox.paths`; sorted."""
    after: str | None = None
    while True:
        folders = _folders_after(database, inbox_id, after)
        yield from folders
        if len(folders) < _FOLDERS_PER_QUERY:
            return
        after = folders[-1]


def note_missing(database: Database, inbox_id: int, image_ids: Sequence[int]) -> list[int]:
    """Note that the files of images are not in the inbox any more, in one transaction.

    The journal clears the note when the file is back. Images that were superseded meanwhile stay as they are.

    Returns:
        The slides of these images, by their ids.
    """
    these = in_list(Image.id, "ids") & IS_CURRENT & ~IS_MISSING & (Image.inbox_id == inbox_id)
    asked = {"ids": list(image_ids)}
    with database.writing() as connection:
        lock_images(connection, these, asked)
        slides = connection.execute(select(Image.slide_id).where(these).distinct(), asked).scalars().all()
        connection.execute(update(Image).where(these).values(missing_since=datetime.now(UTC)), asked)
    return sorted(slide_id for slide_id in slides if slide_id is not None)


def _folders_after(database: Database, inbox_id: int, after: str | None) -> list[str]:
    """Return the next folders; each is found through the index, so that their many images are not read."""
    in_inbox = (Image.inbox_id == inbox_id) & IS_CURRENT
    query = select(Image.folder).where(in_inbox).order_by(Image.folder).limit(1)
    found: list[str] = []
    with database.reading() as connection:
        while len(found) < _FOLDERS_PER_QUERY:
            folder = connection.execute(query if after is None else query.where(Image.folder > after)).scalar()
            if folder is None:
                break
            found.append(folder)
            after = folder
    return found
