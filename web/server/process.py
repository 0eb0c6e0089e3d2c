"""The web server as a process: it takes the port, reports its address, serves until a signal comes, and ends cleanly."""

import logging
import signal
import socket
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI

from smearcount.web.live.live_updates import LiveUpdates
from smearcount.web.server.connections import Connections, protocol_of, use_all_descriptors
from smearcount.web.server.proxies import TrustedPrefix
from smearcount.web.server.sockets import address_of, listen

#: Connections that are accepted in one round of the event loop.
_ACCEPTED_AT_ONCE = 64

#: Seconds that requests under way have to finish when the server ends.
_END_SECONDS = 10


class _Server(uvicorn.Server):
    """Ends the live streams before it shuts down, because a shutdown would wait for them."""

    def __init__(self, config: uvicorn.Config, live_updates: LiveUpdates) -> None:
        super().__init__(config)
        self._live_updates = live_updates

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._live_updates.close()
        await super().shutdown(sockets)


def serve(application: FastAPI, *, host: str, port: int, proxies: Sequence[str], say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        application: made by `make_application`.
        host: name or address to listen on.
        port: port to listen on; 0 takes any free one.
        proxies: addresses and networks of the proxies that are believed what they say of the browser.
        say: is called with the URL as soon as the server can be reached there.

    Raises:
        WebError: the address cannot be listened on.
    """
    listener = listen(host, port)
    config = uvicorn.Config(
        application,
        loop="asyncio",
        http=protocol_of(Connections(use_all_descriptors())),
        # So many are accepted at once, before they can be counted.
        backlog=_ACCEPTED_AT_ONCE,
        ws="none",
        lifespan="off",
        log_config=None,
        # A line per request would contain what was searched for.
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        timeout_graceful_shutdown=_END_SECONDS,
    )
    config.load()
    # Before uvicorn puts the browser's address into the place of the proxy's.
    config.loaded_app = TrustedPrefix(config.loaded_app, proxies)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    server = _Server(config, application.state.live_updates)

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn sets handlers of its own while it serves, and raises the signals again when it has ended.
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        say(address_of(listener, host))
        server.run(sockets=[listener])
    finally:
        listener.close()
        for number, handler in before.items():
            signal.signal(number, handler)
