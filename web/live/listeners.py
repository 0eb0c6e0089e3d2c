"""Those who follow the live changes; each one's changes gather until the connection takes them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from smearcount.db.queries.changes import SlideChange


class Listener:
    """One page or program that follows the changes; several changes of a slide reach it as one."""

    def __init__(self, account: str | None = None, is_still_welcome: Callable[[], bool] = lambda: True) -> None:
        """Start without any change.

        Args:
            account: who follows; None where limits for one person do not apply.
            is_still_welcome: says whether they may still read.
        """
        self.account = account
        self.is_still_welcome = is_still_welcome
        self._changes: dict[int, SlideChange] = {}
        self._wake = asyncio.Event()
        self._is_closed = False
        #: Up to where in the outbox everything is among the changes, or was before.
        self.position = 0

    def notify(self, changes: Iterable[SlideChange], position: int = 0) -> None:
        """Add changes to those that are still to be sent; everything in the outbox up to `position` is known with them."""
        self.position = max(self.position, position)
        for change in changes:
            earlier = self._changes.get(change.slide_id)
            self._changes[change.slide_id] = change if earlier is None else earlier.and_then(change)
        self._wake.set()

    def close(self) -> None:
        """End the stream."""
        self._is_closed = True
        self._wake.set()

    async def changes(self) -> AsyncIterator[list[SlideChange]]:
        """Yield the changes as they happen, each list by the slides' ids, until the listener is closed."""
        while True:
            await self._wake.wait()
            if self._is_closed:
                return
            self._wake.clear()
            changes, self._changes = self._changes, {}
            yield [changes[slide_id] for slide_id in sorted(changes)]
