"""What can come of trying to send a message, other than that it was accepted."""

from smearcount.differential.errors import SmearcountError


class DeliveryError(SmearcountError):
    """A destination cannot be used as it is set up."""


class NoAnswer(DeliveryError):
    """Nobody knows whether the receiver has the message: it is sent again, under the same control id."""

    def __init__(
        self, reason: str, *, answer: str | None = None, pause: float | None = None, was_sent: bool = True
    ) -> None:
        """Keep what happened.

        Args:
            reason: what happened, in words.
            answer: what came back, if anything did.
            pause: seconds that the receiver asks to wait.
            was_sent: whether the message went out, so that it may itself be the cause.
        """
        super().__init__(reason)
        self.answer = answer
        self.pause = pause
        self.was_sent = was_sent


class MessageRefused(DeliveryError):
    """The receiver has looked at the message and refuses it; sending it again would not help."""

    def __init__(self, reason: str, *, answer: str | None = None) -> None:
        """Keep the reason and the answer."""
        super().__init__(reason)
        self.answer = answer
