"""The live changes, as server-sent events."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from smearcount.db.delivery.outbox import changed_slides, newest_row
from smearcount.db.queries.changes import SlideChange
from smearcount.web.auth.access import Person
from smearcount.web.dependencies import TheAccess, TheDatabase, person
from smearcount.web.live.listeners import Listener
from smearcount.web.live.live_updates import LiveUpdates
from smearcount.web.problems import described
from smearcount.web.schemas.base import Answer

router = APIRouter(tags=["changes"])

#: Milliseconds that a browser waits before it connects again after a lost connection.
_RETRY = 2000
#: Changes that are told after a lost connection, and digits of an id.
_MOST_MISSED, _LONGEST_ID = 1000, 15


class SlideReviewed(Answer):
    """A slide that people alone have changed."""

    slide: int = Field(description="Id of the slide.")
    last_review: int = Field(description="Newest review of its cells; 0 if there was none lately.")
    last_event: int = Field(description="Newest comment, sign-off or reopening; 0 if there was none lately.")


class SlidesChanged(Answer):
    """The data of an event."""

    slides: list[int] = Field(description="Ids of the slides that changed.")
    reviewed: list[SlideReviewed] = Field(
        default=[],
        description="Those of them that nothing but reviews, comments, sign-offs or reopenings changed. Who knows a "
        "slide up to these ids has nothing to read.",
    )

    @classmethod
    def of(cls, changes: Sequence[SlideChange]) -> Self:
        """Show changes."""
        return cls(
            slides=[change.slide_id for change in changes],
            reviewed=[
                SlideReviewed(slide=change.slide_id, last_review=change.last_review_id, last_event=change.last_event_id)
                for change in changes
                if not change.has_new_images
            ],
        )


async def _listener(
    request: Request, access: TheAccess, who: Annotated[Person, Depends(person)]
) -> AsyncIterator[Listener]:
    live_updates = request.app.state.live_updates
    assert isinstance(live_updates, LiveUpdates)  # noqa: S101 (for the type checker: make_application sets it)
    listener = live_updates.join(who.account, lambda: access.is_still_welcome(request))
    try:
        yield listener
    finally:
        live_updates.leave(listener)


@router.get(
    "/changes",
    summary="Follow the changes",
    response_class=EventSourceResponse,
    responses=described("too-many-listeners"),
)
async def follow(
    listener: Annotated[Listener, Depends(_listener)],
    database: TheDatabase,
    last_event_id: Annotated[
        str | None,
        Header(description="`id` of the last event that was read, as browsers send it after a lost connection."),
    ] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Stream what changes, as it changes, until the client goes (`text/event-stream`).

    `ready` comes first, and again after every reconnection: read anew whatever you show. `slides` names slides that got
    images, were classified, completed, reviewed, commented on, signed or reopened; its `reviewed` names those of them that
    people alone changed, with the newest review and the newest event, which tell whether a change is your own. A comment
    every 15 s keeps proxies from closing the connection.

    Each event's `id` is a cursor as `changed_since` of the list of slides takes it. Who comes back with it in the header
    `Last-Event-ID` is told after `ready`, in `slides`, which slides were completed, reviewed, commented on, signed,
    reopened, withdrawn or restored meanwhile; where those are too many, `ready` alone says to read everything anew.
    """
    position = await run_in_threadpool(newest_row, database)
    yield ServerSentEvent(event="ready", id=str(position), data=SlidesChanged(slides=[]), retry=_RETRY)
    if last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) <= _LONGEST_ID:
        missed = await run_in_threadpool(changed_slides, database, after=int(last_event_id), limit=_MOST_MISSED)
        if missed.slides and not missed.is_more:
            slides = sorted(missed.slides)
            yield ServerSentEvent(event="slides", id=str(missed.cursor), data=SlidesChanged(slides=slides))
    async for changes in listener.changes():
        position = max(position, listener.position)
        yield ServerSentEvent(event="slides", id=str(position), data=SlidesChanged.of(changes))
