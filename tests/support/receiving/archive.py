"""Thousands of slides that are signed in one transaction: what would take a person's afternoon."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from smearcount.db.audit.chain import append
from smearcount.db.engine.database import Database
from smearcount.db.schema import Inbox, Slide, SlideEventKind, SlideEventRow
from smearcount.differential.report import report
from smearcount.differential.signing.snapshot import SignedResult

from support.examining import DEFAULTS, reviewed_tally, tally
from support.reviewing import RULES

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def add_slides(database: Database, number: int) -> list[int]:
    """Add complete slides to an empty database, and return their ids."""
    with database.writing() as connection:
        connection.execute(insert(Inbox).values(id=1, name="archive", root="/archive", arriving=0))
        connection.execute(
            insert(Slide),
            [
                {
                    "id": one, "inbox_id": 1, "name": f"slide-{one:06}", "first_image_at": _BEGAN + timedelta(minutes=one),
                    "last_image_at": _BEGAN + timedelta(minutes=one), "completed_at": _BEGAN + timedelta(minutes=one),
                }
                for one in range(1, number + 1)
            ],
        )  # fmt: skip
    return list(range(1, number + 1))


def sign_all(database: Database, slide_ids: list[int]) -> None:
    """Sign slides, each with the same result."""
    signed = SignedResult.made(
        automatic=report(tally(), DEFAULTS), reviewed=report(reviewed_tally(), DEFAULTS), reviewed_cells=3, models=(),
        rules=RULES,
    ).as_json()  # fmt: skip
    events: list[dict[str, Any]] = [
        {
            "slide_id": one, "kind": SlideEventKind.SIGN_OFF, "reviewer": "Ada", "text": None, "at": datetime.now(UTC),
            "completed_at": _BEGAN + timedelta(minutes=one), "counted": 100, "model_ids": [], "digest": "0" * 64,
            "snapshot": signed, "last_image_id": 0,
        }
        for one in slide_ids
    ]  # fmt: skip
    with database.writing(durable=True) as connection:
        append(connection, SlideEventRow, events)
