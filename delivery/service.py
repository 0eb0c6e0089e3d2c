"""The sending process: a thread for each destination, so that one that does not answer keeps no other waiting."""

import logging
import threading
from collections.abc import Sequence

from smearcount.db.delivery.destinations import register
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError, DatabaseUnavailable
from smearcount.delivery.destinations import Destination
from smearcount.delivery.sender import Sender
from smearcount.delivery.settings import DeliverySettings
from smearcount.differential.settings import CountSettings

_log = logging.getLogger("smearcount.delivery")

#: Seconds until a database that does not answer is asked again.
_DATABASE_PAUSE = 1.0


class Service:
    """Sends to all destinations until it is stopped."""

    def __init__(
        self,
        database: Database,
        named: Sequence[Destination],
        settings: DeliverySettings,
        counts: CountSettings,
        *,
        version: str,
    ) -> None:
        """Enter the destinations in the database, and prepare to send.

        Raises:
            DatabaseUnavailable: the database does not answer.
            DeliveryError: a destination cannot be used as it is set up.
        """
        ids = register(database, {one.name: one.since for one in named})
        self._look_seconds = settings.deliver_look_seconds
        self._stopping = threading.Event()
        self._failed: BaseException | None = None
        self._senders: Sequence[Sender] = [
            Sender(
                database, one, ids[one.name], counts=counts, version=version,
                longest_pause=settings.deliver_pause_seconds,
            )
            for one in named
        ]  # fmt: skip

    def run(self) -> None:
        """Send until `stop`; each sender ends after its message under way.

        Raises:
            Exception: what ended a sender unexpectedly; the others are ended, too, and the next start goes on.
        """
        threads = [threading.Thread(target=self._serve, args=(sender,)) for sender in self._senders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        """Let `run` return; may be called from a signal handler."""
        self._stopping.set()
        for sender in self._senders:
            sender.stop()

    def _serve(self, sender: Sender) -> None:
        try:
            self._rounds(sender)
        except BaseException as error:  # noqa: BLE001 (raised again by `run`)
            self._failed = error
            self.stop()

    def _rounds(self, sender: Sender) -> None:
        is_failing = False
        while not self._stopping.is_set():
            try:
                more = sender.round()
            except DatabaseUnavailable as error:
                if not is_failing:
                    _log.warning("sending waits for the database: %s", type(error).__name__)
                is_failing, more = True, False
                self._stopping.wait(_DATABASE_PAUSE)
            else:
                is_failing = False
            if not more:
                self._stopping.wait(self._look_seconds)
        try:
            sender.close()
        except DatabaseError:
            _log.warning("the last answers could not be written down: those messages are sent again, as the same ones")
