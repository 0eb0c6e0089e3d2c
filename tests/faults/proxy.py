"""A TCP proxy between the parts and a server that resets connections or delays answers."""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

#: SO_LINGER on, for 0 s: closing then resets the connection instead of ending it.
_RESETS = struct.pack("ii", 1, 0)
_CHUNK = 64 * 1024


class Proxy:
    """Forwards connections to a server."""

    def __init__(self, target: tuple[str, int], seed: int, address: str = "127.0.0.1") -> None:
        """Listen at `address`, for the server at `target`; delays are drawn from `seed`."""
        self.address = address
        self._target = target
        self._random = random.Random(seed)
        self._delay: tuple[float, float] | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server((address, 0))
        self.port = int(self._listener.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, sock=self._listener))

    def reset(self) -> int:
        """Reset every connection, on both sides; return how many there were."""
        return int(self._do(self._reset()))

    def slow_down(self, shortest: float, longest: float) -> None:
        """Delay every answer by a random time between these, in seconds."""
        self._delay = shortest, longest

    def speed_up(self) -> None:
        """Stop delaying answers."""
        self._delay = None

    def close(self) -> None:
        """Stop listening and end all connections."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Awaitable[Any]) -> Any:
        async def run() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(20)

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        writers = [to_client]
        self._writers.add(to_client)
        try:
            with suppress(OSError):  # no server, or a broken connection: closing the client's side tells the client
                from_server, to_server = await asyncio.open_connection(*self._target)
                writers.append(to_server)
                self._writers.add(to_server)
                await asyncio.gather(
                    self._copy(from_client, to_server, are_answers=False),
                    self._copy(from_server, to_client, are_answers=True),
                )
        finally:
            for writer in writers:
                self._writers.discard(writer)
                writer.close()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, are_answers: bool) -> None:
        while data := await source.read(_CHUNK):
            if are_answers and self._delay:
                await asyncio.sleep(self._random.uniform(*self._delay))
            sink.write(data)
            await sink.drain()
        sink.close()

    async def _reset(self) -> int:
        writers = list(self._writers)
        for writer in writers:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETS)
            writer.transport.abort()
        return len(writers) // 2

    async def _end(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
