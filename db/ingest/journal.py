"""The journal of files: the watcher stores every settled file as a row before anything else happens to it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, RowMapping, bindparam, or_, select, update

from smearcount.db.engine.bulk import insert_missing_rows
from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images, lock_slides
from smearcount.db.engine.parameters import in_list
from smearcount.db.records import Journalled, JournalledFile, KnownFile, SeenFile
from smearcount.db.schema import IS_CURRENT, OPEN_STATES, Image, ImageState, Inbox, Slide
from smearcount.inbox.paths import joined
from smearcount.inbox.versions import FileVersion

#: Codes of refusals that a later look at the same, unchanged file may overturn.
REVIVABLE = frozenset({"gone", "empty", "no-slide", "leaves-inbox"})

_FILES_PER_STATEMENT = 500

# Run for every folder, so it is built only once: building it takes longer than the answer.
_CURRENT_ROWS = select(Image.id, Image.filename, Image.size, Image.mtime_ns, Image.reason_code).where(
    Image.inbox_id == bindparam("inbox"),
    Image.folder == bindparam("in_folder"),
    in_list(Image.filename, "names"),
    IS_CURRENT,
)


def known_in_folder(database: Database, inbox_id: int, folder: str) -> dict[str, KnownFile]:
    """Return the journalled files of one folder by their names.

    A file needs no second look while it has the version that is returned for it and nothing was held against it.

    Args:
        database: where the journal is.
        inbox_id: the inbox.
        folder: path within the inbox, in the form of `inbox.paths`.
    """
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
    """Return the files that came last into an inbox, newest first; refused and superseded ones are left out."""
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
    """Journal files of an inbox in one transaction: all of them, or none if anything is raised.

    A new file begins as pending, or as quarantined if it comes with a refusal. A changed file supersedes its earlier row.
    Journalling the same version again changes nothing.

    Returns:
        How many rows are new, and how many were superseded or refused.
    """
    total = Journalled()
    if not files:
        return total
    now = datetime.now(UTC)
    with database.writing() as connection:
        for start in range(0, len(files), _FILES_PER_STATEMENT):
            total += _record_some(connection, inbox_id, files[start : start + _FILES_PER_STATEMENT], now)
    return total


def _record_some(connection: Connection, inbox_id: int, files: Sequence[SeenFile], now: datetime) -> Journalled:
    last_seen = {(file.folder, file.filename): file for file in files}
    current = _current_rows(connection, inbox_id, last_seen)
    changed: list[int] = []
    fresh: list[SeenFile] = []
    for key, file in last_seen.items():
        row = current.get(key)
        if row is not None:
            if _is_journalled(row, file):
                continue
            changed.append(row["id"])
        fresh.append(file)
    # Slides are locked before images, as workers do it: transactions that lock in the same order cannot deadlock.
    slides = _slide_ids(connection, inbox_id, {file.slide for file in fresh if file.slide is not None}, now)
    _supersede(connection, changed)
    insert_missing_rows(connection, Image, [_new_row(inbox_id, file, slides, now) for file in fresh])
    refused = sum(file.refusal is not None for file in fresh)
    return Journalled(new=len(fresh) - len(changed), superseded=len(changed), refused=refused)


def _current_rows(
    connection: Connection, inbox_id: int, paths: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], RowMapping]:
    names: dict[str, list[str]] = defaultdict(list)
    for folder, filename in paths:
        names[folder].append(filename)
    # One query per folder: for a list of (folder, name) pairs SQLite would read the whole inbox each time.
    return {
        (folder, row["filename"]): row
        for folder, filenames in names.items()
        for row in connection.execute(
            _CURRENT_ROWS, {"inbox": inbox_id, "in_folder": folder, "names": filenames}
        ).mappings()
    }


def _is_journalled(row: RowMapping, file: SeenFile) -> bool:
    """Return whether the row is of this version of the file and its refusal, if it has one, is still the right one."""
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
    # If the pattern was changed, the new version belongs to another slide; the slide of the old one counts anew as well.
    connection.execute(update(Slide).where(Slide.id.in_(before)).values(completed_at=None))
    # Images with the same bytes in the same slide were not counted because of this one; now one of them is.
    revived = (
        update(Image)
        .where(Image.duplicate_of.in_(ids), Image.state == ImageState.DUPLICATE)
        .values(state=ImageState.PENDING, duplicate_of=None, finished_at=None, attempts=0)
    )
    connection.execute(revived)


def _slide_ids(connection: Connection, inbox_id: int, names: Collection[str], now: datetime) -> dict[str, int]:
    """Return the ids of slides that images have just come for, by name; add unknown ones and reopen complete ones."""
    if not names:
        return {}
    rows = [{"inbox_id": inbox_id, "name": name, "first_image_at": now, "last_image_at": now} for name in sorted(names)]
    insert_missing_rows(connection, Slide, rows)
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
