"""The live changes, as server-sent events."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from smearcount.db.queries.changes import SlideChange
from smearcount.web.dependencies import person
from smearcount.web.live.listeners import Listener
from smearcount.web.live.live_updates import LiveUpdates
from smearcount.web.problems import described
from smearcount.web.schemas.base import Answer

router = APIRouter(tags=["changes"])

#: Milliseconds that a browser waits before it connects again after a lost connection.
_RETRY = 2000


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


async def _listener(request: Request, _: Annotated[object, Depends(person)]) -> AsyncIterator[Listener]:
    live_updates = request.app.state.live_updates
    assert isinstance(live_updates, LiveUpdates)  # noqa: S101 (for the type checker: make_application sets it)
    listener = live_updates.join()
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
async def follow(listener: Annotated[Listener, Depends(_listener)]) -> AsyncIterable[ServerSentEvent]:
    """Stream what changes, as it changes, until the client goes (`text/event-stream`).

    `ready` comes first, and again after every reconnection: read anew whatever you show. `slides` names slides that got
    images, were classified, completed, reviewed, commented on, signed or reopened; its `reviewed` names those of them that
    people alone changed, with the newest review and the newest event, which tell whether a change is your own. A comment
    every 15 s keeps proxies from closing the connection.
    """
    yield ServerSentEvent(event="ready", data=SlidesChanged(slides=[]), retry=_RETRY)
    async for changes in listener.changes():
        yield ServerSentEvent(event="slides", data=SlidesChanged.of(changes))
