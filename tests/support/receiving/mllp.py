"""A laboratory information system that takes HL7 v2 over MLLP, made with the package `hl7`, and its faults."""

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Self

import hl7

START, END = b"\x0b", b"\x1c\x0d"
CR = "\r"


@dataclass(frozen=True)
class Received:
    """One message as it came."""

    raw: bytes
    text: str

    @cached_property
    def message(self) -> hl7.Message:
        """The message, parsed."""
        return hl7.parse(self.text)

    @cached_property
    def header(self) -> hl7.Message:
        """MSH alone, parsed: all that an answer needs."""
        return hl7.parse(f"{self.text.partition(CR)[0]}{CR}")

    @cached_property
    def control_id(self) -> str:
        """MSH-10."""
        return str(self.header["MSH.F10"])

    @cached_property
    def slide(self) -> str:
        """The slide's name in SPM-2."""
        name = self._field("SPM", 2).removeprefix("^").partition("&")[0]
        return str(self.header.unescape(name))

    @cached_property
    def status(self) -> str:
        """OBR-25."""
        return self._field("OBR", 25)

    @cached_property
    def report_id(self) -> str:
        """OBR-3, the first component."""
        return self._field("OBR", 3).partition("^")[0]

    def _field(self, segment: str, number: int) -> str:
        (found,) = [line for line in self.text.split(CR) if line.startswith(f"{segment}|")]
        return found.split("|")[number]


def frame(text: str) -> bytes:
    """Return a text between the bytes that MLLP begins and ends with."""
    return START + text.encode() + END


def acknowledgement(received: Received, code: str = "AA", said: str = "") -> bytes:
    """Return the frame of an acknowledgement."""
    # Of `hl7` up to MSA-2.
    answer = str(received.header.create_ack(code)).removesuffix("\r")
    return frame(f"{answer}|{said}\r" if said else f"{answer}\r")


#: What comes back for a message: some bytes; None closes the connection.
Answering = Callable[[Received], Sequence[bytes | None]]


def accepting(received: Received) -> Sequence[bytes | None]:
    """Accept every message."""
    return [acknowledgement(received)]


@dataclass
class Lis:
    """A receiver at a port of the loopback address, which keeps all that comes and answers as it is told to."""

    answering: Answering = accepting
    port: int = 0
    tls: ssl.SSLContext | None = None
    encoding: str = "utf-8"
    received: list[Received] = field(default_factory=list)
    #: How many connections were made.
    connections: int = 0
    #: Wakes those who wait for messages.
    arrival: threading.Condition = field(default_factory=threading.Condition)
    _listener: socket.socket | None = None
    _open: set[socket.socket] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Its address, as settings have it."""
        return f"{'mllp' if self.tls is None else 'mllps'}://localhost:{self.port}"

    def start(self) -> None:
        """Listen, at the port of before if there was one."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        thread = threading.Thread(target=self._listen, args=(listener,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """End as if killed: the port is closed and so are all connections."""
        if self._listener is None:
            return
        # A closed listener does not wake who accepts; shutting it down does.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = None
        for connection in list(self._open):
            hang_up(connection)
        for thread in self._threads:
            thread.join(timeout=60)
        self._threads.clear()

    def until(self, number: int, seconds: float = 300.0) -> list[Received]:
        """Wait for so many messages, counting each as often as it came, and return all of them."""
        with self.arrival:
            came = self.arrival.wait_for(lambda: len(self.received) >= number, timeout=seconds)
            assert came, f"{len(self.received)} of {number} messages came"
            return list(self.received)

    def told(self) -> dict[str, list[Received]]:
        """Return by slide what a system knows that drops a control id that it has seen, in the order of arrival."""
        seen: dict[str, str] = {}
        found: dict[str, list[Received]] = {}
        for one in list(self.received):
            if one.control_id in seen:
                assert seen[one.control_id] == one.text, "two messages under one control id"
                continue
            seen[one.control_id] = one.text
            found.setdefault(one.slide, []).append(one)
        return found

    def _listen(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        try:
            if self.tls is not None:
                plain, connection = connection, self.tls.wrap_socket(connection, server_side=True)
                self._open.discard(plain)
                self._open.add(connection)
            self._answer_all(connection)
        except OSError:
            pass  # the sender has gone, or has refused our certificate
        finally:
            self._open.discard(connection)
            hang_up(connection)

    def _answer_all(self, connection: socket.socket) -> None:
        waiting = b""
        while True:
            part = connection.recv(65536)
            if not part:
                return
            waiting += part
            while END in waiting:
                content, _, waiting = waiting.partition(END)
                raw = content.removeprefix(START)
                one = Received(raw, raw.decode(self.encoding))
                if one.text.startswith("MSH") and "\rMSA|" in one.text:
                    continue  # an answer to our answer
                answers = self.answering(one)
                with self.arrival:
                    self.received.append(one)
                    self.arrival.notify_all()
                for answer in answers:
                    if answer is None:
                        return
                    connection.sendall(answer)


def hang_up(connection: socket.socket) -> None:
    """Close a connection, also for a thread that is waiting for it."""
    with suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
