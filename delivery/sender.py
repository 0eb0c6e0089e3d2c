"""One destination's sender: makes messages of what happened, sends them in order, and writes down what came of each.

Whatever happens to the process, nothing is lost and nothing becomes two results: a message is stored before it is sent, it is
sent under the same control id until somebody has answered for it, and only the holder of the destination's lease sends.
"""

import logging
import time
from datetime import UTC, datetime

from smearcount.db.delivery import destinations, messages, outbox
from smearcount.db.delivery.messages import DueMessage, NewMessage, Outcome
from smearcount.db.engine.database import Database
from smearcount.db.engine.lease import DestinationLease
from smearcount.db.queries.outgoing import outgoing
from smearcount.db.schema import DeliveryState
from smearcount.delivery.composing import composed, wants
from smearcount.delivery.destinations import Destination
from smearcount.delivery.errors import MessageRefused, NoAnswer
from smearcount.delivery.transports.opening import transport
from smearcount.delivery.transports.transport import Letter
from smearcount.differential.settings import CountSettings

_log = logging.getLogger("smearcount.delivery")

#: Rows of the outbox that messages are made of at a time, and messages that are read at a time.
_ROWS_AT_ONCE, _MESSAGES_AT_ONCE = 100, 100
#: What was answered is written down at the latest after so many seconds or messages: a sender that is killed before sends those
#: again, under their control ids.
_SECONDS_UNWRITTEN, _MOST_UNWRITTEN = 0.2, 50
#: Seconds between two looks for messages that people send again.
_LOOK_SECONDS = 2.0
#: Seconds for which a lease is taken to be held that was held.
_LEASE_SECONDS = 0.5
#: Seconds between two notes that the sender is at work.
_HEALTH_SECONDS = 15.0
#: Seconds until a receiver that gave no answer is tried again; the pause doubles each time.
_FIRST_PAUSE = 1.0


class Sender:
    """Sends what is due to one destination, a round at a time."""

    def __init__(
        self,
        database: Database,
        destination: Destination,
        destination_id: int,
        *,
        counts: CountSettings,
        version: str,
        longest_pause: float = 60.0,
    ) -> None:
        """Prepare; the first round takes the lease and connects.

        Raises:
            DeliveryError: the destination cannot be used as it is set up.
        """
        self._database = database
        self._destination = destination
        self._id = destination_id
        self._counts = counts
        self._version = version
        self._longest_pause = longest_pause
        self._transport = transport(destination)
        self._lease = DestinationLease(database, destination_id)
        self._is_stopping = False
        self._pause = 0.0
        self._not_before = 0.0
        self._unwritten: list[Outcome] = []
        self._written_at = 0.0
        self._health_at: float | None = None
        self._failure: str | None = None
        self._is_serving = False
        self._held_at = 0.0
        #: Whether messages may be due that were made since the last look for them, and when to look all the same.
        self._is_new = True
        self._look_at = 0.0

    def round(self) -> bool:
        """Send what is due now, and return whether more may be.

        Raises:
            DatabaseUnavailable: the database does not answer; the next round goes on.
        """
        self._write()
        if not self._lease.take():
            if self._is_serving or self._health_at is None:
                _log.info("another sender serves %s; waiting for its end", self._destination.name)
            self._is_serving, self._health_at = False, 0.0
            return False
        self._is_serving, self._held_at = True, time.monotonic()
        is_more = self._make_messages()
        now = time.monotonic()
        if now < self._not_before or (now < self._look_at and not self._is_new):
            self._note_health()
            return False
        sent = self._send_due()
        # What nobody has made a message of lately is only what a person sends again: that may wait for a moment.
        self._is_new = is_more or sent > 0 or self._pause > 0
        self._look_at = now + _LOOK_SECONDS
        self._write()
        self._note_health()
        # A slide's next message may be due now.
        return (is_more or sent > 0) and not self._is_stopping

    def stop(self) -> None:
        """Let the round under way end after its message."""
        self._is_stopping = True

    def close(self) -> None:
        """Write down what was answered, and give back lease and connection."""
        try:
            self._write()
        finally:
            self._transport.close()
            self._lease.release()

    def _make_messages(self) -> bool:
        """Make messages of what has happened since the last time, and return whether there is more."""
        came_from, newest = destinations.position(self._database, self._id)
        if came_from < newest:
            rows = outbox.happenings(self._database, after=came_from, limit=_ROWS_AT_ONCE)
            new: list[NewMessage] = []
            told = outgoing(self._database, rows, self._counts)
            known = messages.slides_told_of(self._database, self._id, {one.happening.slide_id for one in told})
            now = datetime.now(UTC)
            for one in told:
                slide_id = one.happening.slide_id
                if wants(self._destination, one, knows_slide=slide_id in known):
                    control_id, body = composed(self._destination, one, at=now, version=self._version)
                    new.append(NewMessage(one.happening.id, slide_id, one.disposition.value, control_id, body))
                    known.add(slide_id)
            up_to = rows[-1].id
            self._is_new = True
            # If somebody else has made them meanwhile, the next round reads where it stands.
            messages.store(self._database, self._id, new, came_from=came_from, up_to=up_to)
            came_from = up_to
        return came_from < newest

    def _send_due(self) -> int:
        """Send what is due, at most so many; return how many were settled."""
        settled = 0
        for message in messages.due(self._database, self._id, limit=_MESSAGES_AT_ONCE):
            if self._is_stopping or not self._is_mine():
                break
            if not self._send(message):
                break
            settled += 1
        return settled

    def _is_mine(self) -> bool:
        """Return whether the lease is held; it may have been lost with its connection, and another sender be at work."""
        now = time.monotonic()
        if now - self._held_at > _LEASE_SECONDS:
            if not self._lease.take():
                return False
            self._held_at = now
        return True

    def _send(self, message: DueMessage) -> bool:
        """Send one message, and return whether the receiver answered for it."""
        letter = self._letter(message)
        if letter is None:
            return True
        try:
            answer = self._transport.send(letter)
        except NoAnswer as error:
            self._pause = error.pause or min(max(2 * self._pause, _FIRST_PAUSE), self._longest_pause)
            self._not_before = time.monotonic() + self._pause
            self._note(message, DeliveryState.WAITING, error.answer, str(error), was_sent=error.was_sent)
            self._write()
            if self._failure is None:
                _log.warning("%s gives no answer: %s; trying again", self._destination.name, error)
            self._failure = str(error)
            self._health_at = None
            return False
        except MessageRefused as error:
            self._note(message, DeliveryState.PARKED, error.answer, str(error))
            _log.warning("%s refuses message %d; smearcount deliveries show %d says why", self._destination.name,
                         message.id, message.id)  # fmt: skip
        else:
            self._note(message, DeliveryState.SENT, answer, None)
        if self._failure is not None:
            _log.info("%s answers again", self._destination.name)
            self._failure, self._health_at = None, None
        self._pause = self._not_before = 0.0
        return True

    def _letter(self, message: DueMessage) -> Letter | None:
        """Return a message as it is sent; made anew first, and stored, where a person has asked for that."""
        if message.body is not None:
            return Letter(message.id, message.control_id, message.body)
        now = datetime.now(UTC)
        told = outgoing(self._database, [message.happening], self._counts)
        if not told:
            self._note(message, DeliveryState.PARKED, None, "the slide's files belong to another slide now")
            return None
        # Microseconds: another id than any that this message had.
        edition = int(now.timestamp() * 1e6)
        control_id, body = composed(self._destination, told[0], at=now, version=self._version, edition=edition)
        messages.store_anew(self._database, message.id, control_id=control_id, body=body)
        return Letter(message.id, control_id, body)

    def _note(
        self,
        message: DueMessage,
        state: DeliveryState,
        answer: str | None,
        reason: str | None,
        *,
        was_sent: bool = True,
    ) -> None:
        if not self._unwritten:
            self._written_at = time.monotonic()
        kept = None if answer is None else answer.replace("\0", "\N{REPLACEMENT CHARACTER}")
        self._unwritten.append(Outcome(message.id, state, datetime.now(UTC), kept, reason, was_sent))
        is_due = time.monotonic() - self._written_at > _SECONDS_UNWRITTEN
        if is_due or len(self._unwritten) >= _MOST_UNWRITTEN:
            self._write()

    def _write(self) -> None:
        """Write down what came of what was sent; what cannot be written now is kept, and nothing is sent before it is."""
        if self._unwritten:
            messages.record(self._database, self._unwritten)
            self._unwritten.clear()

    def _note_health(self) -> None:
        now = time.monotonic()
        if self._health_at is None or now - self._health_at > _HEALTH_SECONDS:
            destinations.note_health(self._database, self._id, self._failure)
            self._health_at = now
