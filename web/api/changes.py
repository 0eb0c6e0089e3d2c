"""The live changes, as server-sent events."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from smearcount.web.dependencies import person
from smearcount.web.live.live_updates import ChangeFeed, Listener
from smearcount.web.problems import described
from smearcount.web.schemas.base import Answer

router = APIRouter(tags=["changes"])

#: After a lost connection a browser waits this long, in milliseconds.
_RETRY = 2000


class SlidesChanged(Answer):
    """What an event holds."""

    slides: list[int] = Field(description="Ids of the slides that changed.")


async def _listening(request: Request, _: Annotated[object, Depends(person)]) -> AsyncIterator[Listener]:
    feed = request.app.state.feed
    assert isinstance(feed, ChangeFeed)  # noqa: S101 (for the type checker: make_application sets it)
    listener = feed.join()
    try:
        yield listener
    finally:
        feed.leave(listener)


@router.get(
    "/changes",
    summary="Follow the changes",
    response_class=EventSourceResponse,
    responses=described("too-many-listeners"),
)
async def follow(listener: Annotated[Listener, Depends(_listening)]) -> AsyncIterable[ServerSentEvent]:
    """Stream what changes, as it changes, until the client goes (`text/event-stream`).

    `ready` comes first, and again after every reconnection: read anew whatever you show. `slides` names slides that got
    images, were classified, completed, reviewed, commented on, signed or reopened. A comment every 15 s keeps proxies
    from closing the connection.
    """
    yield ServerSentEvent(event="ready", data=SlidesChanged(slides=[]), retry=_RETRY)
    async for slides in listener.changes():
        yield ServerSentEvent(event="slides", data=SlidesChanged(slides=slides))
