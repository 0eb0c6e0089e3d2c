"""Following the renaming of a slide's folder: the slide keeps its images, results, reviews and signature under the new name.

When a folder is renamed, its files are journalled and counted as a new slide first, since nothing tells them from a copy as
long as the old ones may still be there. Once a complete scan has found the old ones gone, both slides are compared, and the
new one is dissolved in the old one if nothing else can have happened:

- all images of the old slide are missing, all of the new one are there, and neither has open images;
- every image of the old slide stands in the new one at the same path but for one folder, which is the same for all, with the
  same size and the same bytes, the new slide has no other image, and no third slide counts one of them;
- nobody has reviewed, commented on, signed or withdrawn the new slide, and the old one is not withdrawn.

In every other case, such as when slides are moved into one folder of an archive, both stay, and flags say that they share
cells.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from smearcount.db.audit.chain import append
from smearcount.db.engine.bulk import update_rows
from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images, lock_slides
from smearcount.db.review.lost_calls import WATCHER
from smearcount.db.schema import (
    IS_COUNTED,
    IS_CURRENT,
    IS_SHARED,
    OPEN_STATES,
    Image,
    ImageState,
    ReviewRow,
    Slide,
    SlideEventKind,
    SlideEventRow,
)

_IMAGES_PER_QUERY = _SLIDES_PER_QUERY = 500

_Path = tuple[str, str]


@dataclass(frozen=True)
class _Renaming:
    """One folder of a path with another name."""

    #: How many folders stand before it.
    place: int
    before: str
    after: str

    def applied(self, folder: str) -> str | None:
        """Return the path of a folder after the renaming; None if it does not lie within the renamed one."""
        parts = folder.split("/")
        if len(parts) <= self.place or parts[self.place] != self.before:
            return None
        return "/".join([*parts[: self.place], self.after, *parts[self.place + 1 :]])


def follow_renames(
    database: Database,
    inbox_id: int,
    *,
    completed: Collection[str] = (),
    emptied: Collection[int] = (),
    everywhere: bool = False,
) -> int:
    """Follow the renamings that completed slides, or slides whose images were just noted as missing, show.

    Args:
        database: where slides are kept.
        inbox_id: the inbox.
        completed: names of slides of the inbox.
        emptied: ids of slides.
        everywhere: look at all slides of the inbox that share bytes, such as after an interruption.

    Returns:
        How many slides have another name now.
    """
    shared = select(Image.same_cells_in, Image.slide_id).where(IS_SHARED, IS_COUNTED, Image.inbox_id == inbox_id)
    named = select(Slide.id).where(Slide.inbox_id == inbox_id, Slide.name.in_(completed))
    queries = [shared] if everywhere else []
    if completed:
        queries.append(shared.where(Image.slide_id.in_(named)))
    if emptied:
        queries.append(shared.where(Image.same_cells_in.in_(emptied)))
    if not queries:
        return 0
    with database.reading() as connection:
        rows = [row for query in queries for row in connection.execute(query.distinct())]
        pairs = _likely(connection, sorted({(old, new) for old, new in rows if old is not None and new is not None}))
    return sum(_follow(database, inbox_id, old, new) for old, new in pairs)


def _likely(connection: Connection, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return those of the pairs, of an old and a new slide, that are worth a close look: an archive has many to offer."""
    ids = sorted({slide_id for pair in pairs for slide_id in pair})
    images: dict[int, tuple[int, int]] = {}
    for start in range(0, len(ids), _SLIDES_PER_QUERY):
        query = (
            select(Image.slide_id, func.count(), func.count(Image.missing_since))
            .where(Image.slide_id.in_(ids[start : start + _SLIDES_PER_QUERY]), IS_CURRENT)
            .group_by(Image.slide_id)
        )
        images |= {slide_id or 0: (count, missing) for slide_id, count, missing in connection.execute(query)}

    def is_likely(old: int, new: int) -> bool:
        before, after = images.get(old, (0, 0)), images.get(new, (0, 0))
        return before == (after[0], after[0]) and after[1] == 0

    return [pair for pair in pairs if is_likely(*pair)]


def _follow(database: Database, inbox_id: int, old: int, new: int) -> bool:
    """Let the old slide have the new one's files and name, if the folder was renamed."""
    with database.writing() as connection:
        lock_slides(connection, Slide.id.in_([old, new]))
        slides = {
            row.id: row
            for row in connection.execute(
                select(Slide.id, Slide.name, Slide.completed_at).where(
                    Slide.id.in_([old, new]),
                    Slide.inbox_id == inbox_id,
                    Slide.withdrawn_at.is_(None),
                    Slide.renamed_to.is_(None),
                )
            )
        }
        if len(slides) < 2 or slides[new].completed_at is None or _is_touched(connection, new):
            return False
        lock_images(connection, Image.slide_id.in_([old, new]) & IS_CURRENT)
        before, after = _images(connection, old), _images(connection, new)
        moved = _moved(before, after)
        if moved is None or _stands_elsewhere(connection, before.values(), {old, new}):
            return False
        connection.execute(update(Image).where(Image.slide_id == new, IS_CURRENT).values(state=ImageState.SUPERSEDED))
        update_rows(connection, Image, moved)
        _exchange_names(connection, slides[old], slides[new])
        return True


def _stands_elsewhere(connection: Connection, images: Iterable[Row[*tuple[Any, ...]]], slides: set[int]) -> bool:
    """Return whether a third slide counts one of the images, so that nobody can tell which of them is the old one."""
    counted = [row.sha256 for row in images if row.state == ImageState.DONE]
    for start in range(0, len(counted), _IMAGES_PER_QUERY):
        these = Image.sha256.in_(counted[start : start + _IMAGES_PER_QUERY]) & IS_COUNTED
        found = select(Image.id).where(these, Image.slide_id.not_in(slides)).limit(1)
        if connection.execute(found).first() is not None:
            return True
    return not counted


def _is_touched(connection: Connection, slide_id: int) -> bool:
    """Return whether a person has said anything of the slide or its cells."""
    said = (
        select(ReviewRow.id).where(ReviewRow.slide_id == slide_id).limit(1),
        select(SlideEventRow.id).where(SlideEventRow.slide_id == slide_id).limit(1),
    )
    return any(connection.execute(query).first() is not None for query in said)


def _images(connection: Connection, slide_id: int) -> dict[_Path, Row[*tuple[Any, ...]]]:
    rows = connection.execute(
        select(
            Image.id, Image.folder, Image.filename, Image.size, Image.mtime_ns, Image.analyzer_label, Image.sha256,
            Image.state, Image.missing_since,
        ).where(Image.slide_id == slide_id, IS_CURRENT)
    )  # fmt: skip
    return {(row.folder, row.filename): row for row in rows}


def _moved(
    before: dict[_Path, Row[*tuple[Any, ...]]], after: dict[_Path, Row[*tuple[Any, ...]]]
) -> list[dict[str, object]] | None:
    """Return the new values of the old slide's images; None unless exactly its folder was renamed."""
    if len(before) != len(after) or not before:
        return None
    if any(row.missing_since is None or row.state in OPEN_STATES for row in before.values()):
        return None
    if any(row.missing_since is not None or row.state in OPEN_STATES for row in after.values()):
        return None
    renaming = _renaming(sorted(before)[0], sorted(after)[0])
    if renaming is None:
        return None
    moved: list[dict[str, object]] = []
    for (folder, filename), row in before.items():
        place = renaming.applied(folder)
        now = None if place is None else after.get((place, filename))
        if now is None or (now.size, now.sha256) != (row.size, row.sha256):
            return None
        moved.append(
            {
                "of_id": row.id,
                "folder": now.folder,
                "mtime_ns": now.mtime_ns,
                "analyzer_label": now.analyzer_label,
                "missing_since": None,
            }
        )
    return moved


def _renaming(before: _Path, after: _Path) -> _Renaming | None:
    """Return the one folder that has another name in the second path; None if the paths differ in anything else."""
    parts, now = before[0].split("/"), after[0].split("/")
    differing = [place for place, pair in enumerate(zip(parts, now, strict=False)) if pair[0] != pair[1]]
    if len(parts) != len(now) or len(differing) != 1 or before[1] != after[1]:
        return None
    (place,) = differing
    return _Renaming(place, parts[place], now[place])


def _exchange_names(connection: Connection, old: Row[*tuple[Any, ...]], new: Row[*tuple[Any, ...]]) -> None:
    """Give the old slide the new name; the new slide's row, empty now, keeps the old name and refers to the old slide."""
    _set(connection, new.id, name=f"{new.name}\n{new.id}")  # no slide is called so, since names have no line breaks
    _set(connection, old.id, name=new.name)
    _set(connection, new.id, name=old.name, renamed_to=old.id)
    event = {
        "slide_id": old.id,
        "kind": SlideEventKind.RENAME,
        "reviewer": WATCHER,
        "text": f"the folder was renamed; the slide was called {old.name} before, and is called {new.name} now",
        "at": datetime.now(UTC),
    }
    append(connection, SlideEventRow, [event], by_person=False)


def _set(connection: Connection, slide_id: int, **values: Any) -> None:
    connection.execute(update(Slide).where(Slide.id == slide_id).values(values))
