"""The journal of files: the watcher stores every settled file as a row before anything else happens to it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, RowMapping, bindparam, or_, select, update

from smearcount.db.engine.bulk import Row, insert_missing_rows, update_rows
from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images, lock_slides
from smearcount.db.engine.parameters import in_list
from smearcount.db.records import Journalled, JournalledFile, KnownFile, SeenFile
from smearcount.db.review.lost_calls import note_lost_calls
from smearcount.db.schema import IS_CURRENT, IS_MISSING, OPEN_STATES, Image, ImageState, Inbox, Slide
from smearcount.inbox.paths import joined
from smearcount.inbox.versions import FileVersion

#: Codes of refusals that a later look at the same, unchanged file may overturn.
REVIVABLE = frozenset({"gone", "empty", "no-slide", "leaves-inbox"})

_FILES_PER_STATEMENT = 500

# Run for every folder, so it is built only once: building it takes longer than the answer.
_CURRENT_ROWS = select(
    Image.id, Image.filename, Image.size, Image.mtime_ns, Image.reason_code, Image.sha256, Image.missing_since
).where(
    Image.inbox_id == bindparam("inbox"),
    Image.folder == bindparam("in_folder"),
    in_list(Image.filename, "names"),
    IS_CURRENT,
)  # fmt: skip


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
            select(
                Image.filename, Image.size, Image.mtime_ns, Image.reason_code, Image.id, IS_MISSING
            ).where(Image.inbox_id == inbox_id, Image.folder == folder, IS_CURRENT)
        )  # fmt: skip
        return {
            filename: KnownFile(
                FileVersion(size, mtime_ns), code if code in REVIVABLE else None, image_id, bool(is_missing)
            )
            for filename, size, mtime_ns, code, image_id, is_missing in rows
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
    Journalling the same version again changes nothing, except that a missing file is there again.

    A file with another time and the size and SHA-256 of its row is the same image: its row, with all that people said of it,
    stays and gets the new time. As long as the SHA-256 of such a file is not known, nothing is done, and it is returned to be
    compared.

    Returns:
        What came of it.
    """
    total = Journalled()
    if not files:
        return total
    now = datetime.now(UTC)
    same: dict[int, Row] = {}
    changed: list[int] = []
    with database.writing() as connection:
        for start in range(0, len(files), _FILES_PER_STATEMENT):
            total += _record_some(connection, inbox_id, files[start : start + _FILES_PER_STATEMENT], now, same, changed)
        # At the end: who adds to the history locks no slide or image afterwards.
        for start in range(0, len(changed), _FILES_PER_STATEMENT):
            total += Journalled(
                calls_lost=note_lost_calls(connection, changed[start : start + _FILES_PER_STATEMENT], now)
            )
    if same:
        # In a transaction of its own: these images are locked in the order of their ids, and before no others.
        with database.writing() as connection:
            lock_images(connection, in_list(Image.id, "ids"), {"ids": sorted(same)})
            update_rows(connection, Image, [same[image_id] for image_id in sorted(same)])
    return total


def _record_some(
    connection: Connection,
    inbox_id: int,
    files: Sequence[SeenFile],
    now: datetime,
    same: dict[int, Row],
    superseded: list[int],
) -> Journalled:
    """Journal some files.

    It adds the rows of those that are the same images, by their ids, to `same`, and the ids of superseded images to `superseded`.
    """
    last_seen = {(file.folder, file.filename): file for file in files}
    current = _current_rows(connection, inbox_id, last_seen)
    changed: list[int] = []
    fresh: list[SeenFile] = []
    to_compare: list[SeenFile] = []
    unchanged = 0
    for key, file in last_seen.items():
        row = current.get(key)
        if row is not None:
            if _is_journalled(row, file):
                if row["missing_since"] is not None:
                    same[row["id"]] = _version_row(row["id"], file)
                continue
            if _may_be_unchanged(row, file):
                if file.sha256 is None:
                    to_compare.append(file)
                    continue
                if file.sha256 == row["sha256"]:
                    same[row["id"]] = _version_row(row["id"], file)
                    unchanged += 1
                    continue
            changed.append(row["id"])
        fresh.append(file)
    # Slides are locked before images, as workers do it: transactions that lock in the same order cannot deadlock.
    slides, withdrawn = _slide_ids(connection, inbox_id, {file.slide for file in fresh if file.slide is not None}, now)
    _supersede(connection, changed)
    superseded += changed
    insert_missing_rows(connection, Image, [_new_row(inbox_id, file, slides, now) for file in fresh])
    refused = sum(file.refusal is not None for file in fresh)
    return Journalled(
        new=len(fresh) - len(changed),
        superseded=len(changed),
        refused=refused,
        unchanged=unchanged,
        into_withdrawn=withdrawn,
        to_compare=tuple(to_compare),
    )


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


def _may_be_unchanged(row: RowMapping, file: SeenFile) -> bool:
    """Return whether only the time of a file differs from what is known of it, so that its bytes must tell."""
    is_same_size = row["size"] == file.size and file.refusal is None
    return is_same_size and row["sha256"] is not None and row["reason_code"] not in REVIVABLE


def _version_row(image_id: int, file: SeenFile) -> Row:
    return {"of_id": image_id, "size": file.size, "mtime_ns": file.mtime_ns, "missing_since": None}


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


def _slide_ids(
    connection: Connection, inbox_id: int, names: Collection[str], now: datetime
) -> tuple[dict[str, int], int]:
    """Return the ids of slides that images have just come for, by name; add unknown ones and reopen complete ones.

    The second value is how many of them are withdrawn.
    """
    if not names:
        return {}, 0
    rows = [{"inbox_id": inbox_id, "name": name, "first_image_at": now, "last_image_at": now} for name in sorted(names)]
    insert_missing_rows(connection, Slide, rows)
    mine = (Slide.inbox_id == inbox_id) & Slide.name.in_(names)
    lock_slides(connection, mine)
    connection.execute(update(Slide).where(mine).values(last_image_at=now, completed_at=None, renamed_to=None))
    rows_now = connection.execute(select(Slide.id, Slide.name, Slide.withdrawn_at).where(mine)).all()
    return {row.name: row.id for row in rows_now}, sum(row.withdrawn_at is not None for row in rows_now)


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
