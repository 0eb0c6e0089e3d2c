"""HL7 v2 over MLLP: a message between 0x0B and 0x1C 0x0D, answered by an acknowledgement that names it.

The framing is that of "Transport Specification: MLLP, Release 1", the acknowledgements those of HL7 v2.5.1, chapter 2. An answer
counts only if its MSA-2 is the MSH-10 of the message: after a lost connection or a late answer, others may come.
"""

import socket
import ssl
import time
from dataclasses import dataclass

from smearcount.delivery.destinations import MllpDestination
from smearcount.delivery.errors import DeliveryError, MessageRefused, NoAnswer
from smearcount.delivery.transports.tls import tls_context
from smearcount.delivery.transports.transport import Letter
from smearcount.differential.forms.hl7_profile import CHARACTER_SETS, Acknowledgement

_START, _END = b"\x0b", b"\x1c\x0d"
#: A longer answer is none: something else talks at that port.
_LARGEST_ANSWER = 1 << 20
#: Seconds that a new connection may take.
_CONNECT_SECONDS = 10.0

#: MSA-1 (HL7 table 0008).
_ACCEPTED, _STORED = "AA", "CA"
_REFUSED = {
    "AE": "error", "AR": "rejected", "CE": "error before it was stored", "CR": "rejected before it was stored",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """An acknowledgement: its code, the message that it is of, and what it says in words."""

    code: str
    control_id: str
    text: str
    #: Its own control id, and whether its sender wants to know that it came (MSH-15).
    own_id: str
    wants_answer: bool


class MllpTransport:
    """One connection to a receiver, which is kept between messages."""

    def __init__(self, destination: MllpDestination) -> None:
        """Prepare; the first message connects.

        Raises:
            DeliveryError: a file of certificates or keys cannot be used.
        """
        self._destination = destination
        self._encoding = CHARACTER_SETS[destination.character_set]
        self._tls = tls_context(destination) if destination.address.scheme == "mllps" else None
        self._connection: socket.socket | None = None
        self._received = b""

    def send(self, letter: Letter) -> str:
        """Send a message and wait for its acknowledgement; see `Transport`."""
        was_open = self._connection is not None
        try:
            return self._exchange(letter)
        except NoAnswer as error:
            # A receiver may have closed a connection on which nothing came for a while: that says nothing of the message.
            if not was_open or not error.was_sent or not isinstance(error.__cause__, ConnectionError):
                raise
        return self._exchange(letter)

    def check(self) -> str:
        """Connect, and end the connection."""
        was_open = self._connection is not None
        try:
            connection = self._connect()
        except OSError as error:
            raise DeliveryError(_why(error)) from None
        proof = ""
        if isinstance(connection, ssl.SSLSocket):
            proof = f", {connection.version()}, its certificate is valid"
        if not was_open:
            self.close()
        return f"it takes connections{proof}"

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._received = b""

    def _exchange(self, letter: Letter) -> str:
        deadline = time.monotonic() + self._destination.timeout
        try:
            connection = self._connect()
        except OSError as error:
            raise NoAnswer(_why(error), was_sent=False) from error
        try:
            connection.settimeout(self._destination.timeout)
            connection.sendall(_START + letter.body.encode(self._encoding, errors="replace") + _END)
            return self._await(connection, letter.control_id, deadline)
        except OSError as error:
            self.close()
            raise NoAnswer(_why(error)) from error
        except NoAnswer:
            self.close()
            raise

    def _await(self, connection: socket.socket, control_id: str, deadline: float) -> str:
        """Wait for the acknowledgement of a message, past those of others."""
        others = 0
        while True:
            try:
                raw = self._frame(connection, deadline)
            except TimeoutError:
                late = f"; {others} answers named other messages (MSA-2)" if others else ""
                raise NoAnswer(f"no answer within {self._destination.timeout:g} s{late}") from None
            text = raw.decode(self._encoding, errors="replace")
            answer = read_answer(text)
            if answer is None:
                raise NoAnswer("the answer holds no MSA segment", answer=text)
            if answer.control_id != control_id:
                others += 1
                continue
            if answer.code in _REFUSED:
                raise MessageRefused(_refusal(answer), answer=text)
            if answer.code == _ACCEPTED:
                if answer.wants_answer:
                    connection.sendall(_START + _commit(answer.own_id).encode() + _END)
                return text
            if answer.code != _STORED:
                raise NoAnswer("the answer has an unknown code (MSA-1)", answer=text)
            if self._destination.acknowledgement is not Acknowledgement.ENHANCED:
                return text

    def _frame(self, connection: socket.socket, deadline: float) -> bytes:
        """Return the next frame's content.

        Raises:
            TimeoutError: none came in time.
            OSError: the connection was lost.
            NoAnswer: too much came for one.
        """
        while True:
            start = self._received.find(_START)
            end = self._received.find(_END, max(start, 0))
            if start >= 0 and end >= 0:
                content, self._received = self._received[start + 1 : end], self._received[end + 2 :]
                return content
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            part = connection.recv(65536)
            if not part:
                raise ConnectionError("the receiver has closed the connection")
            self._received += part
            if len(self._received) > _LARGEST_ANSWER:
                raise NoAnswer("what came back is too long for an answer; is this an MLLP port?")

    def _connect(self) -> socket.socket:
        if self._connection is not None:
            return self._connection
        address = self._destination.address
        host = address.hostname or ""
        plain = socket.create_connection(
            (host, self._destination.port), min(_CONNECT_SECONDS, self._destination.timeout)
        )
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = plain if self._tls is None else self._tls.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        self._connection, self._received = connection, b""
        return connection


def read_answer(text: str) -> Answer | None:
    """Read an acknowledgement; None if it is none."""
    segments = [line for line in text.replace("\n", "\r").split("\r") if line]
    if not segments or not segments[0].startswith("MSH") or len(segments[0]) < 5:
        return None
    separator = segments[0][3]
    fields = {segment.split(separator)[0]: segment.split(separator) for segment in reversed(segments)}
    msh, msa = fields["MSH"], fields.get("MSA")
    if msa is None:
        return None
    errors = [_spoken(segment.split(separator), segments[0][4]) for segment in segments if segment.startswith("ERR")]
    said = "; ".join(text for text in (_field(msa, 3), *errors) if text)
    # Counted from MSH-1, which is the separator itself.
    return Answer(_field(msa, 1).strip(), _field(msa, 2).strip(), said, _field(msh, 9), _field(msh, 14) == "AL")


def _spoken(error: list[str], component: str) -> str:
    """Return what an ERR segment says: the user message (ERR-8), else the error code in words (ERR-3)."""
    return _field(error, 8) or " ".join(_field(error, 3).split(component)[:2]).strip()


def _field(segment: list[str], number: int) -> str:
    return segment[number] if number < len(segment) else ""


def _refusal(answer: Answer) -> str:
    said = f": {answer.text[:500]}" if answer.text else ""
    return f"{answer.code}, {_REFUSED[answer.code]}{said}"


def _commit(control_id: str) -> str:
    """Return the accept acknowledgement of an application acknowledgement."""
    own = f"{time.time_ns():x}"
    return f"MSH|^~\\&|smearcount|||||||ACK|{own}|P|2.5.1\rMSA|CA|{control_id}\r"


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return str(error.strerror or error) or type(error).__name__
