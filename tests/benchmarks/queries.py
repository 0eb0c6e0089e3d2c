"""The queries of people on an archive of a million cells: one differential, and a page of the list of slides."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import CTE, Cast, Column, Integer, String, case, cast, func, insert, literal, select, text

from smearcount.db.engine.database import Database
from smearcount.db.queries.counts import slide_tally
from smearcount.db.queries.slides import SlideFilter, slide_page
from smearcount.db.schema import Classification, Image, ImageState, Inbox, Model, Slide
from smearcount.differential.classes import CellClass

PAGE = 50
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
#: Number of cells of each class among twenty, roughly as in health.
_OF_TWENTY = {
    CellClass.NEUTROPHIL: 10, CellClass.LYMPHOCYTE: 5, CellClass.MONOCYTE: 1, CellClass.EOSINOPHIL: 1, CellClass.PLATELET: 1,
    CellClass.BASOPHIL: 1, CellClass.ERYTHROBLAST: 1,
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """How long an answer takes, in milliseconds."""

    p50: float
    p99: float


def fill(database: Database, *, images: int, slides: int) -> None:
    """Fill an empty, migrated database with classified images, evenly on the slides."""
    with database.writing() as connection:
        connection.execute(insert(Inbox).values(id=1, name="archive", root="/archive", arriving=0))
        connection.execute(
            insert(Model).values(
                id=1, name="archive", version="1", sha256="0" * 64, preprocessing="archive", threshold=0.9
            )
        )
        connection.execute(
            insert(Slide),
            [
                {
                    "id": number + 1, "inbox_id": 1, "name": f"slide-{number:06}",
                    "first_image_at": _BEGAN + timedelta(minutes=number),
                    "last_image_at": _BEGAN + timedelta(minutes=number + 1),
                    "completed_at": _BEGAN + timedelta(minutes=number + 2),
                }
                for number in range(slides)
            ],
        )  # fmt: skip
        # Make the rows of images in the database itself: sending them one by one would take minutes.
        series = select(literal(0).label("n")).cte("series", recursive=True)
        series = series.union_all(select(series.c.n + 1).where(series.c.n < images - 1))
        _insert_from(connection, Image, series, _image_columns(series, images // slides))
        _insert_from(connection, Classification, series, _call_columns(series))
    # PostgreSQL does this by itself after a while; SQLite has nothing to vacuum and only needs statistics.
    tidy = "VACUUM ANALYZE" if database.file is None else "ANALYZE"
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(tidy))


def answers(database: Database, *, slides: int, calls: int = 300) -> dict[str, Answer]:
    """Return how long each kind of query takes, for random slides and pages."""
    dice = random.Random(1)
    names = [f"slide-{dice.randrange(slides):06}" for _ in range(calls)]
    cursors: list[str | None] = [None]
    while (further := slide_page(database, SlideFilter(), after=cursors[-1], limit=PAGE).next) is not None:
        cursors.append(further)
    pages = [dice.choice(cursors) for _ in range(calls)]
    return {
        "one slide's differential": _answer([partial(slide_tally, database, name) for name in names]),
        "a page of slides": _answer(
            [partial(slide_page, database, SlideFilter(), after=after, limit=PAGE) for after in pages]
        ),
    }


def _answer(questions: list[Callable[[], object]]) -> Answer:
    for question in questions[:20]:
        question()
    took = []
    for question in questions:
        start = time.perf_counter()
        question()
        took.append((time.perf_counter() - start) * 1000)
    return Answer(float(np.percentile(took, 50)), float(np.percentile(took, 99)))


def _insert_from(connection: Any, table: Any, series: CTE, columns: dict[str, Any]) -> None:
    chosen = select(*(value.label(name) for name, value in columns.items())).select_from(series)
    connection.execute(insert(table).from_select(list(columns), chosen))


def _text(number: Any) -> Cast[str]:
    return cast(number, String)


def _image_columns(series: CTE, per_slide: int) -> dict[str, Any]:
    n = series.c.n
    of_slide = cast(func.floor(n / literal(per_slide, Integer)), Integer)
    return {
        "id": n + 1,
        "inbox_id": literal(1),
        "slide_id": of_slide + 1,
        "folder": literal("slide-") + _text(of_slide),
        "filename": literal("cell-") + _text(n) + literal(".jpg"),
        "size": literal(16_000),
        "mtime_ns": literal(1_767_225_600_000_000_000),
        "state": literal(ImageState.DONE.value),
        "attempts": literal(1),
        "seen_at": _constant(Image.seen_at, _BEGAN),
        "queued_at": _constant(Image.queued_at, _BEGAN),
        "finished_at": _constant(Image.finished_at, _BEGAN),
        "sha256": literal("0" * 54) + _text(n + 1_000_000_000),
    }


def _call_columns(series: CTE) -> dict[str, Any]:
    n = series.c.n
    classes = [cell_class for cell_class, share in _OF_TWENTY.items() for _ in range(share)]
    return {
        "id": n + 1,
        "image_id": n + 1,
        "model_id": literal(1),
        "cell_class": case(
            {number: literal(cell_class.value) for number, cell_class in enumerate(classes)}, value=n % len(classes)
        ),
        "confidence": literal(0.97),
        "probabilities": _constant(Classification.probabilities, [0.97, *[0.0042] * 7]),
        "identified": n % 33 > 0,
        "worker": literal("archive"),
        "classified_at": _constant(Classification.classified_at, _BEGAN),
    }


def _constant(column: Any, value: object) -> Any:
    kind: Column[Any] = column.type
    return literal(value, kind)
