"""Schemas of the installation's state and of the cells of each day."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, datetime
from typing import Final, Literal, Self

from pydantic import Field

from smearcount.db.liveness import watcher_lives
from smearcount.db.queries.trends import DayLine
from smearcount.db.records import InboxLine, Progress
from smearcount.differential.tally import Calls
from smearcount.web.schemas.base import Answer, Moment
from smearcount.web.services import Check, Colour, ModelFacts

#: Columns of the list of days as CSV.
DAY_COLUMNS: Final = (
    "day", "images", "cells", "unidentified", "quarantined", "mean_confidence", "red", "green", "blue", "calls",
)  # fmt: skip


class InboxAnswer(Answer):
    """How one watched folder is doing."""

    inbox: str = Field(description="Its name.")
    watcher_lives: bool = Field(description="Whether its watcher has said so within the last seconds.")
    watched_at: Moment | None = Field(description="When the watcher last said so, in UTC; null if it never ran.")
    scanned_at: Moment | None = Field(description="When a full scan last ended, in UTC.")
    arriving: int = Field(description="Files that are still being written.")
    pending: int = Field(description="Images that wait for the queue.")
    queued: int = Field(description="Images in the queue or with a worker.")
    done: int = Field(description="Images classified and counted.")
    duplicates: int
    quarantined: int
    slides: int
    slides_complete: int
    images_per_second: float = Field(description="Images finished per second, over the last minute.")
    oldest_pending_at: Moment | None = Field(description="When the image that has waited longest was seen, in UTC.")
    ignored: int | None = Field(
        description="Files that the last full scan ignored, because they are no images or by a setting; null before it."
    )
    ignored_kinds: dict[str, int] = Field(
        description="Their number by kind, the most frequent first.", examples=[{".webp": 400, ".xml": 12}]
    )

    @classmethod
    def of(cls, inbox: InboxLine, state: Progress, now: datetime) -> Self:
        """Show an inbox."""
        return cls(
            inbox=inbox.name,
            watcher_lives=watcher_lives(inbox.watched_at, now),
            watched_at=inbox.watched_at,
            scanned_at=inbox.scanned_at,
            arriving=inbox.arriving,
            pending=state.pending,
            queued=state.queued,
            done=state.done,
            duplicates=state.duplicates,
            quarantined=state.quarantined,
            slides=state.slides,
            slides_complete=state.slides_complete,
            images_per_second=state.rate_per_second,
            oldest_pending_at=state.oldest_pending_at,
            ignored=None if inbox.ignored_kinds is None else sum(inbox.ignored_kinds.values()),
            ignored_kinds=dict(inbox.ignored_kinds or {}),
        )


class QueueAnswer(Answer):
    """Messages in the queue, each with up to 64 images."""

    waiting: int = Field(description="Not taken by a worker yet.")
    held: int = Field(description="With workers.")


class ColourAnswer(Answer):
    """Mean colour of cell images and its spread (standard deviation), red, green and blue, 0 to 255 each."""

    mean: tuple[float, float, float]
    spread: tuple[float, float, float]

    @classmethod
    def of(cls, colour: Colour) -> Self:
        """Show a colour."""
        return cls(mean=colour.mean, spread=colour.spread)


class ModelInUse(Answer):
    """The model that classifies what arrives now."""

    name: str
    version: str
    sha256: str = Field(description="Of the model in hex: over its card, its weights and its likeness file.")
    threshold: float = Field(description="Confidence under which a cell is unidentified.")
    training_colour: ColourAnswer | None = Field(description="Of the images it was trained on; null if not known.")

    @classmethod
    def of(cls, model: ModelFacts) -> Self:
        """Show a model."""
        identity, colour = model.identity, model.training_colour
        return cls(
            name=identity.name,
            version=identity.version,
            sha256=identity.sha256,
            threshold=identity.threshold,
            training_colour=None if colour is None else ColourAnswer.of(colour),
        )


class SystemAnswer(Answer):
    """The whole installation."""

    version: str = Field(description="Of smearcount.")
    inboxes: list[InboxAnswer]
    queue: QueueAnswer | None = Field(description="Null if the broker does not answer.")
    model: ModelInUse | None = Field(description="Null if none can be loaded.")


class CheckAnswer(Answer):
    """One thing that was looked at."""

    what: str
    state: Literal["well", "wrong", "unknown"]
    details: str = Field(description="What was found, and what to do if it is wrong.")

    @classmethod
    def of(cls, check: Check) -> Self:
        """Show a check."""
        return cls.model_validate({"what": check.what, "state": check.state, "details": check.details})


class Checks(Answer):
    """Everything that a count depends on."""

    checks: list[CheckAnswer]
    checked_at: Moment = Field(description="When it was looked at, in UTC.")


class DayAnswer(Answer):
    """What was finished on one day, by the models' calls alone."""

    day: date = Field(description="In UTC.")
    images: int = Field(description="Files dealt with, whatever became of them.")
    cells: int = Field(description="Cells counted, the unidentified ones among them.")
    unidentified: int = Field(description="Cells that the model left in no class, whatever people called them since.")
    quarantined: int
    mean_confidence: float | None = Field(description="Of the cells; null without any.")
    red: float | None = Field(description="Mean over the cells' images, 0 to 255; null where not known.")
    green: float | None
    blue: float | None
    calls: Literal[Calls.AUTOMATIC] = Field(description="Whose calls the numbers are made of.")

    @classmethod
    def of(cls, day: DayLine) -> Self:
        """Show a day."""
        return cls(
            day=day.day,
            images=day.images,
            cells=day.cells,
            unidentified=day.unidentified,
            quarantined=day.quarantined,
            mean_confidence=day.mean_confidence,
            red=day.red,
            green=day.green,
            blue=day.blue,
            calls=Calls.AUTOMATIC,
        )


class Trends(Answer):
    """How the cells of each day looked to the model, beside what it was trained on."""

    days: list[DayAnswer] = Field(description="Days on which anything was finished, oldest first.")
    training_colour: ColourAnswer | None = Field(
        description="Of the images that the model in use was trained on; null if not known."
    )


def day_rows(days: Iterable[DayLine]) -> list[dict[str, object]]:
    """Return the values of each day by DAY_COLUMNS."""
    return [asdict(day) | {"day": day.day.isoformat(), "calls": Calls.AUTOMATIC} for day in days]
