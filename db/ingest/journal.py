"""The watcher's side: every settled file becomes a row before anything else happens to it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from smearcount.db.engine.bulk import insert_new
from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images, lock_slides
from smearcount.db.engine.parameters import among
from smearcount.db.ingest.work_items import ARE_OPEN
from smearcount.db.records import Batch, Journalled, JournalledFile, KnownFile, SeenFile
from smearcount.db.schema import IS_COUNTED, IS_CURRENT, IS_OPEN, OPEN_STATES, Image, ImageState, Inbox, Slide
from smearcount.inbox.paths import joined, to_text
from smearcount.inbox.versions import FileVersion

#: Reasons that a later look at the same, unchanged file may overturn.
REVIVABLE = frozenset({"gone", "empty", "no-slide", "leaves-inbox"})

_FILES_PER_STATEMENT = 500

#: Nothing is put off for longer than this.
_LONGEST_WAIT = timedelta(minutes=1)

# Asked for every folder: made once, since making it anew takes longer than the answer.
_CURRENT_ROWS = select(Image.id, Image.filename, Image.size, Image.mtime_ns, Image.reason_code).where(
    Image.inbox_id == bindparam("inbox"),
    Image.folder == bindparam("in_folder"),
    among(Image.filename, "names"),
    IS_CURRENT,
)


def register_inbox(database: Database, name: str, root: str) -> int:
    """Return the id of the inbox `name` (in the form of `inbox.paths`); a known one keeps the place that it has.

    A new one lies at the absolute path `root`, as `os` functions give it.
    """
    with database.writing() as connection:
        insert_new(connection, Inbox, [{"name": name, "root": to_text(root), "arriving": 0}])
        return connection.execute(select(Inbox.id).where(Inbox.name == name)).scalar_one()


def place_inbox(database: Database, inbox_id: int, root: str) -> None:
    """Note that the watcher's machine sees the inbox at the absolute path `root`; only for whoever holds its lease."""
    with database.writing() as connection:
        connection.execute(update(Inbox).where(Inbox.id == inbox_id).values(root=to_text(root)))


def note_watch(database: Database, inbox_id: int, *, arriving: int, is_whole_scan: bool) -> None:
    """Write down that the watcher lives, how many files are still arriving, and whether a full scan has ended."""
    now = datetime.now(UTC)
    values: dict[str, object] = {"watched_at": now, "arriving": arriving}
    if is_whole_scan:
        values["scanned_at"] = now
    with database.writing() as connection:
        connection.execute(update(Inbox).where(Inbox.id == inbox_id).values(values))


def known_in_folder(database: Database, inbox_id: int, folder: str) -> dict[str, KnownFile]:
    """Return the journalled files of one folder; they need no second look while nothing of what is returned changes."""
    with database.reading() as connection:
        rows = connection.execute(
            select(Image.filename, Image.size, Image.mtime_ns, Image.reason_code).where(
                Image.inbox_id == inbox_id, Image.folder == folder, IS_CURRENT
            )
        )
        return {
            filename: KnownFile(FileVersion(size, mtime_ns), code if code in REVIVABLE else None)
            for filename, size, mtime_ns, code in rows
        }


def newest_files(database: Database, inbox: str, *, at_most: int) -> list[JournalledFile]:
    """Return the files of an inbox that came last, without those that could not be counted; newest first."""
    could_be_counted = [*OPEN_STATES, ImageState.DONE, ImageState.DUPLICATE]
    query = (
        select(Image.folder, Image.filename, Image.size, Image.mtime_ns, Image.state)
        .join(Inbox, Inbox.id == Image.inbox_id)
        .where(Inbox.name == inbox, Image.state.in_(could_be_counted))
        .order_by(Image.id.desc())
        .limit(at_most)
    )
    with database.reading() as connection:
        return [
            JournalledFile(joined(folder, filename), FileVersion(size, mtime_ns), state in OPEN_STATES)
            for folder, filename, size, mtime_ns, state in connection.execute(query)
        ]


def record(database: Database, inbox_id: int, files: Sequence[SeenFile]) -> Journalled:
    """Journal files: new ones begin pending, or quarantined with the reason; changed ones supersede their old row.

    Recording the same file again changes nothing. All of it is committed, or nothing.
    """
    total = Journalled()
    if not files:
        return total
    now = datetime.now(UTC)
    with database.writing() as connection:
        for start in range(0, len(files), _FILES_PER_STATEMENT):
            total += _record_some(connection, inbox_id, files[start : start + _FILES_PER_STATEMENT], now)
    return total


def take_batches(database: Database, inbox_id: int, *, at_most: int, batch_size: int) -> list[Batch]:
    """Mark up to `at_most` pending images as queued and return them as batches of one slide each, oldest first."""
    now = datetime.now(UTC)
    pending = (
        select(Image.id, Image.slide_id, Image.reason_code)
        .where(
            IS_OPEN,
            Image.state == ImageState.PENDING,
            Image.inbox_id == inbox_id,
            Image.slide_id.is_not(None),
            or_(Image.not_before.is_(None), _is_past(Image.not_before, now)),
        )
        .order_by(Image.id)
    )
    with database.reading() as connection:
        # Asked several times a second; an answer of "nothing" must not cost the workers SQLite's one write lock.
        if connection.execute(pending.limit(1)).first() is None:
            return []
    with database.writing() as connection:
        rows = connection.execute(pending.limit(at_most)).all()
        of_slide: dict[int, list[int]] = defaultdict(list)
        complained_of: set[int] = set()
        for image_id, slide_id, code in rows:
            if slide_id is not None:
                of_slide[slide_id].append(image_id)
            if code is not None:
                complained_of.add(image_id)
        _set_open_state(connection, [row.id for row in rows], ImageState.QUEUED, queued_at=now)
    return [
        Batch(slide_id, part, tuple(sorted(complained_of.intersection(part))) if complained_of else ())
        for slide_id, ids in of_slide.items()
        for part in (tuple(ids[start : start + batch_size]) for start in range(0, len(ids), batch_size))
    ]


def put_back(database: Database, batches: Iterable[Batch]) -> None:
    """Make the images of batches that did not reach the queue pending again."""
    ids = [image_id for batch in batches for image_id in batch.image_ids]
    with database.writing() as connection:
        _set_open_state(connection, ids, ImageState.PENDING, queued_at=None)


def put_back_lost(database: Database, inbox_id: int, *, queued_before: datetime) -> int:
    """Make images pending again that were queued before a moment and never finished; return how many."""
    is_lost = and_(
        IS_OPEN,
        Image.state == ImageState.QUEUED,
        Image.inbox_id == inbox_id,
        or_(Image.queued_at.is_(None), _is_past(Image.queued_at, queued_before)),
    )
    with database.reading() as connection:
        # Asked every few seconds; an answer of "nothing" must not cost the workers SQLite's one write lock.
        if connection.execute(select(Image.id).where(is_lost).limit(1)).first() is None:
            return 0
    with database.writing() as connection:
        lock_images(connection, is_lost)
        return connection.execute(
            update(Image).where(is_lost).values(state=ImageState.PENDING, queued_at=None)
        ).rowcount


def last_finished_was_queued_at(database: Database, *, within: timedelta) -> datetime | None:
    """Return when the image that a worker finished last was queued; None where none was finished within that time."""
    newest = (
        select(Image.queued_at)
        .where(IS_COUNTED, Image.finished_at >= datetime.now(UTC) - within)
        .order_by(Image.finished_at.desc())
        .limit(1)
    )
    with database.reading() as connection:
        return connection.execute(newest).scalar_one_or_none()


def count_queued(database: Database) -> int:
    """Return how many images are in the queue or with workers, of all inboxes."""
    with database.reading() as connection:
        return connection.execute(
            select(func.count()).select_from(Image).where(IS_OPEN, Image.state == ImageState.QUEUED)
        ).scalar_one()


def complete_slides(
    database: Database, inbox_id: int, *, quiet: timedelta, arriving: Callable[[], Collection[str]] = tuple
) -> list[str]:
    """Complete and return the slides of which nothing is open or arriving, and no image came for `quiet`.

    `arriving` names the slides that files are arriving for; it is asked only where a slide would be complete otherwise.
    """
    now = datetime.now(UTC)
    still_open = select(Image.id).where(Image.slide_id == Slide.id, IS_OPEN).exists()
    with database.reading() as connection:
        due = connection.execute(
            select(Slide.id, Slide.name).where(
                Slide.inbox_id == inbox_id,
                Slide.completed_at.is_(None),
                _is_past(Slide.last_image_at, now - quiet),
                ~still_open,
            )
        ).all()
    if not due:
        return []
    still_arriving = arriving()
    complete = {slide_id: name for slide_id, name in due if name not in still_arriving}
    if not complete:
        return []
    with database.writing() as connection:
        # Whoever reopens a slide at this moment is waited for first, so that the next statement sees what he did.
        lock_slides(connection, Slide.id.in_(complete))
        completed = connection.execute(
            update(Slide)
            .where(Slide.id.in_(complete), _is_past(Slide.last_image_at, now - quiet), ~still_open)
            .values(completed_at=now)
            .returning(Slide.name)
        )
        return sorted(completed.scalars())


def _is_past(column: InstrumentedAttribute[Any], moment: datetime) -> ColumnElement[bool]:
    """Condition that a moment was not after another; one that is yet to come was written before the clock was set back."""
    return or_(column <= moment, column > datetime.now(UTC) + _LONGEST_WAIT)


def _record_some(connection: Connection, inbox_id: int, files: Sequence[SeenFile], now: datetime) -> Journalled:
    last_seen = {(file.folder, file.filename): file for file in files}
    current = _current_rows(connection, inbox_id, last_seen)
    changed: list[int] = []
    fresh: list[SeenFile] = []
    for key, file in last_seen.items():
        row = current.get(key)
        if row is not None:
            if _is_settled(row, file):
                continue
            changed.append(row["id"])
        fresh.append(file)
    # Slides first, images next, as workers do it: two who take the same locks in turn never wait for each other.
    slides = _slide_ids(connection, inbox_id, {file.slide for file in fresh if file.slide is not None}, now)
    _supersede(connection, changed)
    insert_new(connection, Image, [_new_row(inbox_id, file, slides, now) for file in fresh])
    refused = sum(file.refusal is not None for file in fresh)
    return Journalled(new=len(fresh) - len(changed), superseded=len(changed), refused=refused)


def _current_rows(
    connection: Connection, inbox_id: int, paths: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], RowMapping]:
    names: dict[str, list[str]] = defaultdict(list)
    for folder, filename in paths:
        names[folder].append(filename)
    # One query per folder: for a list of pairs SQLite would read the whole inbox each time.
    return {
        (folder, row["filename"]): row
        for folder, filenames in names.items()
        for row in connection.execute(
            _CURRENT_ROWS, {"inbox": inbox_id, "in_folder": folder, "names": filenames}
        ).mappings()
    }


def _is_settled(row: RowMapping, file: SeenFile) -> bool:
    """Say whether the journal already holds this version of the file, and holds nothing against it that has changed."""
    if (row["size"], row["mtime_ns"]) != (file.size, file.mtime_ns):
        return False
    now_against_it = file.refusal.code if file.refusal else None
    return row["reason_code"] not in REVIVABLE or row["reason_code"] == now_against_it


def _supersede(connection: Connection, ids: list[int]) -> None:
    if not ids:
        return
    before = select(Image.slide_id).where(Image.id.in_(ids)).distinct()
    lock_slides(connection, Slide.id.in_(before))
    lock_images(connection, or_(Image.id.in_(ids), Image.duplicate_of.in_(ids)))
    connection.execute(update(Image).where(Image.id.in_(ids)).values(state=ImageState.SUPERSEDED))
    # A new version of the file may belong to another slide, should the pattern have changed; this one counts anew.
    connection.execute(update(Slide).where(Slide.id.in_(before)).values(completed_at=None))
    # The same bytes elsewhere in the slide were left out because of this image; now they count.
    revived = (
        update(Image)
        .where(Image.duplicate_of.in_(ids), Image.state == ImageState.DUPLICATE)
        .values(state=ImageState.PENDING, duplicate_of=None, finished_at=None, attempts=0)
    )
    connection.execute(revived)


def _slide_ids(connection: Connection, inbox_id: int, names: Collection[str], now: datetime) -> dict[str, int]:
    """Return the ids of slides that images have just come for; unknown ones begin, complete ones are reopened."""
    if not names:
        return {}
    rows = [{"inbox_id": inbox_id, "name": name, "first_image_at": now, "last_image_at": now} for name in sorted(names)]
    insert_new(connection, Slide, rows)
    mine = (Slide.inbox_id == inbox_id) & Slide.name.in_(names)
    lock_slides(connection, mine)
    connection.execute(update(Slide).where(mine).values(last_image_at=now, completed_at=None))
    return {name: slide_id for slide_id, name in connection.execute(select(Slide.id, Slide.name).where(mine))}


def _new_row(inbox_id: int, file: SeenFile, slides: dict[str, int], now: datetime) -> dict[str, object]:
    return {
        "inbox_id": inbox_id,
        "slide_id": slides[file.slide] if file.slide is not None else None,
        "folder": file.folder,
        "filename": file.filename,
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "analyzer_label": file.analyzer_label,
        "sha256": file.sha256,
        "state": ImageState.QUARANTINED if file.refusal else ImageState.PENDING,
        "attempts": 0,
        "seen_at": now,
        "finished_at": now if file.refusal else None,
        "reason_code": file.refusal.code if file.refusal else None,
        "reason": file.refusal.reason if file.refusal else None,
    }


def _set_open_state(
    connection: Connection, ids: Sequence[int], state: ImageState, *, queued_at: datetime | None
) -> None:
    if ids:
        lock_images(connection, ARE_OPEN, {"ids": ids})
        change = update(Image).where(ARE_OPEN).values(state=state, queued_at=queued_at)
        connection.execute(change, {"ids": ids})
