"""Helpers that journal files and store results as watcher and worker do, for tests of the database."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from smearcount.db.engine.database import Database
from smearcount.db.ingest import inbox_registry, journal, queueing, results
from smearcount.db.records import Batch, Classified, Refusal, SeenFile, WorkItem
from smearcount.differential.classes import CellClass
from smearcount.differential.model import ModelUsed

MODEL = ModelUsed("test-cnn", "1.0", "a" * 64, "crop128-v1", 0.5)
NEWER_MODEL = ModelUsed("test-cnn", "2.0", "b" * 64, "crop128-v1", 0.5)


def sha256(content: str) -> str:
    """Return the SHA-256 of a file's content."""
    return hashlib.sha256(content.encode()).hexdigest()


def seen(
    path: str,
    *,
    size: int = 100,
    mtime_ns: int = 1,
    slide: str | None = "",
    label: str | None = None,
    refusal: Refusal | None = None,
    content: str | None = None,
) -> SeenFile:
    """Return a file as the watcher reports it; the slide is its first folder unless the caller names another.

    The watcher reads a file of which only the time has changed: it holds `content`, or else something of its own for each
    time. Of a file with the first time, 1, it has read nothing unless `content` is given.
    """
    if content is None and mtime_ns != 1 and refusal is None:
        content = f"{path} at {mtime_ns}"
    folder, _, filename = path.rpartition("/")
    if slide == "":
        slide = path.partition("/")[0] if folder else None
    digest = None if content is None else sha256(content)
    return SeenFile(folder, filename, size, mtime_ns, slide, label, refusal, digest)


def new_inbox(database: Database, name: str = "/inbox") -> int:
    """Register an inbox."""
    return inbox_registry.register_inbox(database, name, name)


def take(database: Database, inbox_id: int, *, at_most: int = 10_000, batch_size: int = 64) -> list[Batch]:
    """Take the pending images, as the watcher's dispatch does."""
    return queueing.take_batches(database, inbox_id, at_most=at_most, batch_size=batch_size)


def classified(
    image_id: int,
    content: str,
    cell_class: CellClass | str = CellClass.NEUTROPHIL,
    *,
    identified: bool = True,
    confidence: float = 0.9,
) -> Classified:
    """Return a worker's result for a file of this content."""
    return Classified(
        image_id, sha256(content), str(cell_class), confidence, (confidence, *[0.0] * 7), identified=identified
    )


def begin(database: Database, batches: Iterable[Batch]) -> list[WorkItem]:
    """Begin batches as a worker does, and return their work items."""
    return [item for batch in batches for item in results.begin(database, batch.image_ids)]


def count_cells(
    database: Database,
    inbox_id: int,
    cells: Sequence[tuple[str, str, CellClass, bool]],
    *,
    model: ModelUsed = MODEL,
) -> dict[str, int]:
    """Journal and classify files, given as (path, content, class, identified); return the image id of each path."""
    journal.record(database, inbox_id, [seen(path) for path, _, _, _ in cells])
    by_path: Mapping[str, tuple[str, CellClass, bool]] = {path: rest for path, *rest in cells}  # type: ignore[misc]
    ids: dict[str, int] = {}
    for batch in take(database, inbox_id):
        items = results.begin(database, batch.image_ids)
        ids.update({item.path: item.image_id for item in items})
        results.store(
            database,
            model,
            "bench",
            [
                classified(
                    item.image_id, by_path[item.path][0], by_path[item.path][1], identified=by_path[item.path][2]
                )
                for item in items
            ],
        )
    return ids
