"""The live changes: one look at the database per moment for all pages together, however many are open."""

import asyncio
import logging
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.queries.changes import Marker, changed_slides, latest
from smearcount.web.problems import Problem

_log = logging.getLogger("smearcount.web")

#: Time between two looks, in seconds: short enough to seem live, long enough to cost nothing.
LOOK_SECONDS = 0.7


class Listener:
    """One page that follows: the slides that changed since it was last told gather here, each once."""

    def __init__(self) -> None:
        """Start with nothing to tell."""
        self._slides: set[int] = set()
        self._wake = asyncio.Event()
        self._is_closed = False

    def tell(self, slides: list[int]) -> None:
        """Note slides that changed."""
        self._slides.update(slides)
        self._wake.set()

    def close(self) -> None:
        """End the stream."""
        self._is_closed = True
        self._wake.set()

    async def changes(self) -> AsyncIterator[list[int]]:
        """Yield the ids of changed slides as they change, until closed."""
        while True:
            await self._wake.wait()
            if self._is_closed:
                return
            self._wake.clear()
            told, self._slides = sorted(self._slides), set()
            yield told


class ChangeFeed:
    """Looks at the database as long as anyone listens, and tells all who do. Lives in one event loop."""

    def __init__(self, database: Database, *, most_listeners: int) -> None:
        """Prepare; nothing is looked at before somebody listens."""
        self._database = database
        self._most_listeners = most_listeners
        self._listeners: set[Listener] = set()
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def join(self) -> Listener:
        """Add a listener.

        Raises:
            Problem: there are too many, or the server is ending.
        """
        if self._is_closed or len(self._listeners) >= self._most_listeners:
            raise Problem(
                "too-many-listeners",
                "no more pages can follow the changes just now; reload instead",
                headers={"Retry-After": "30"},
            )
        listener = Listener()
        self._listeners.add(listener)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return listener

    def leave(self, listener: Listener) -> None:
        """Remove a listener; the last one ends the looking."""
        self._listeners.discard(listener)
        if not self._listeners and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def close(self) -> None:
        """End all streams; a server that ends would wait for them for ever."""
        self._is_closed = True
        for listener in list(self._listeners):
            listener.close()

    async def _look(self) -> None:
        marker: Marker | None = None
        is_troubled = False
        while True:
            try:
                if marker is None:
                    marker = await run_in_threadpool(latest, self._database)
                    slides: list[int] = []
                else:
                    marker, slides = await run_in_threadpool(changed_slides, self._database, marker)
            except DatabaseError as error:
                # Every page would show old numbers as if nothing had happened: the log says so once, and it goes on.
                if not is_troubled:
                    _log.warning("the live changes wait for the database: %s", type(error).__name__)
                is_troubled = True
            else:
                is_troubled = False
                if slides:
                    for listener in self._listeners:
                        listener.tell(slides)
            await asyncio.sleep(LOOK_SECONDS)
