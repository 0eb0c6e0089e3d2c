"""Threads that work beside a run and report their failures."""

import threading
from typing import Self


class Background:
    """A thread that works until the context ends: `with Something(...):`. The end of the context raises its failure."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._try, name=type(self).__name__, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self.check()

    def check(self) -> None:
        """Raise its failure if it has failed."""
        if self._failure is not None:
            raise self._failure

    def _try(self) -> None:
        try:
            self._go_on()
        except Exception as failure:  # noqa: BLE001 (raised again in the thread that asks)
            self._failure = failure

    def _go_on(self) -> None:
        raise NotImplementedError
