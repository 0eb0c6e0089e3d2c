"""What all ways to a receiver have in common."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Letter:
    """A message on its way: the text, the name by which the receiver knows it, and its place in the order."""

    #: Id of the message here; later messages have greater ones.
    number: int
    control_id: str
    body: str


class Transport(Protocol):
    """A way to one receiver; one thread uses it."""

    def send(self, letter: Letter) -> str:
        """Send a message and return what the receiver answered, which accepted it.

        Raises:
            NoAnswer: nobody knows whether the receiver has it, or the receiver cannot take it just now.
            MessageRefused: the receiver refuses this message.
        """
        ...

    def check(self) -> str:
        """Return in words that the receiver can be reached, without sending a result.

        Raises:
            DeliveryError: it cannot; the message says why.
        """
        ...

    def close(self) -> None:
        """End the connection, if there is one."""
        ...
