"""Where images are decoded: in two threads of its own, and each image once however many ask for it.

The threads that answer requests never decode. So the pages and the API go on whatever lies in the inbox, and no more than two
images are in memory as pixels.
"""

import asyncio
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")

#: Images decoded at a time.
AT_A_TIME = 2


class Decoding:
    """Decodes images beside the event loop."""

    def __init__(self, at_a_time: int = AT_A_TIME) -> None:
        """Start no thread yet."""
        self._threads = ThreadPoolExecutor(at_a_time, thread_name_prefix="decoding")
        self._under_way: dict[Hashable, Future[object]] = {}
        # A decoding that is done already says so within the lock.
        self._lock = threading.RLock()

    async def once(self, key: Hashable, decode: Callable[[], Answer]) -> Answer:
        """Return what `decode` returns; those who ask for the same `key` meanwhile get the same answer, or the same error."""
        with self._lock:
            future = self._under_way.get(key)
            if future is None:
                future = self._under_way[key] = self._threads.submit(decode)
                future.add_done_callback(lambda _: self._forget(key))
        # The others still want it when the one who asked first has gone.
        return await asyncio.shield(asyncio.wrap_future(future))  # type: ignore[arg-type]  # the key says of which type

    def _forget(self, key: Hashable) -> None:
        with self._lock:
            self._under_way.pop(key, None)
