"""Looks for changes in the database and tells every open page: one look per moment, however many pages are open."""

import asyncio
import logging
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool

from smearcount.db.delivery.outbox import newest_row
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.queries.changes import Marker, SlideChange, changed_slides, latest
from smearcount.web.live.listeners import Listener
from smearcount.web.problems import Problem

_log = logging.getLogger("smearcount.web")

#: Seconds between two looks: short enough to seem live, long enough to cost nothing.
LOOK_SECONDS = 0.7

#: Most pages and programs of one person that follow at a time: others must be able to follow as well.
MOST_OF_ONE_PERSON = 20


class LiveUpdates:
    """Looks at the database as long as there are listeners, and notifies them all.

    An instance belongs to one event loop.
    """

    def __init__(self, database: Database, *, most_listeners: int) -> None:
        """Keep the database; the first look happens when the first listener joins."""
        self._database = database
        self._most_listeners = most_listeners
        self._listeners: set[Listener] = set()
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def listeners(self) -> int:
        """The number of listeners."""
        return len(self._listeners)

    def join(self, account: str | None = None, is_still_welcome: Callable[[], bool] = lambda: True) -> Listener:
        """Add a listener.

        Args:
            account: who follows; None where everybody at this machine is one person, to whom no limit applies.
            is_still_welcome: is asked at each look; the stream ends when it says no.

        Raises:
            Problem: there are too many listeners, in all or of this person, or the server is ending.
        """
        of_theirs = 0 if account is None else sum(one.account == account for one in self._listeners)
        is_full = len(self._listeners) >= self._most_listeners or of_theirs >= MOST_OF_ONE_PERSON
        if self._is_closed or is_full:
            raise Problem(
                "too-many-listeners",
                "no more pages can follow the changes just now; reload instead",
                headers={"Retry-After": "30"},
            )
        listener = Listener(account, is_still_welcome)
        self._listeners.add(listener)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return listener

    def leave(self, listener: Listener) -> None:
        """Remove a listener; without any listener, the looking ends."""
        self._listeners.discard(listener)
        if not self._listeners and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def close(self) -> None:
        """End all streams; otherwise a server that ends would wait for them for ever."""
        self._is_closed = True
        for listener in list(self._listeners):
            listener.close()

    async def _look(self) -> None:
        marker: Marker | None = None
        is_failing = False
        while True:
            changes: list[SlideChange] = []
            position = 0
            try:
                # Before the look, which then sees everything up to there.
                position = await run_in_threadpool(newest_row, self._database)
                if marker is None:
                    marker = await run_in_threadpool(latest, self._database)
                else:
                    marker, changes = await run_in_threadpool(changed_slides, self._database, marker)
            except DatabaseError as error:
                # Every page would show old numbers as if nothing had happened, so the log says it, once.
                if not is_failing:
                    _log.warning("the live changes wait for the database: %s", type(error).__name__)
                is_failing = True
            else:
                is_failing = False
                if changes:
                    for listener in self._listeners:
                        listener.notify(changes, position)
            self._dismiss()
            await asyncio.sleep(LOOK_SECONDS)

    def _dismiss(self) -> None:
        """End the streams of those who may no longer read: they were removed, have logged out, or their login is over."""
        for listener in list(self._listeners):
            if not listener.is_still_welcome():
                listener.close()
