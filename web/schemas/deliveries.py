"""Schemas of what is sent to other systems: the destinations, the messages, and what people decide about them."""

from typing import Any, Self

from pydantic import Field

from smearcount.db.delivery.decisions import LONGEST_DECISION, Delivery
from smearcount.db.delivery.destinations import DestinationHealth
from smearcount.db.schema import DeliveryState
from smearcount.differential.forms.disposition import Disposition
from smearcount.web.schemas.base import Answer, Moment, Question


class DestinationAnswer(Answer):
    """How one destination is doing."""

    name: str
    in_use: bool = Field(description="Whether the settings still named it when a sender last started.")
    waiting: int = Field(description="Messages that are still to be sent.")
    parked: int = Field(description="Messages that the receiver refused; a person decides.")
    oldest_at: Moment | None = Field(description="When the oldest of what is still to be sent happened or was made.")
    served_at: Moment | None = Field(description="When a sender last wrote that it is at work for it.")
    failing_since: Moment | None = Field(description="Since when nothing could be sent; null while it answers.")
    failure: str | None = Field(description="Why nothing can be sent.")

    @classmethod
    def of(cls, found: DestinationHealth) -> Self:
        """Show a destination."""
        return cls(
            name=found.name,
            in_use=found.in_use,
            waiting=found.waiting,
            parked=found.parked,
            oldest_at=found.oldest_at,
            served_at=found.served_at,
            failing_since=found.failing_since,
            failure=found.failure,
        )


class DeliveryLine(Answer):
    """One message to one destination."""

    id: int
    destination: str
    slide: int = Field(description="Id of the slide.")
    disposition: Disposition = Field(description="What the message says of the result.")
    control_id: str = Field(description="What the receiver knows the message by (MSH-10).")
    state: DeliveryState
    attempts: int
    made_at: Moment
    tried_at: Moment | None
    sent_at: Moment | None
    reason: str | None = Field(description="What came of the last try.")
    decided_by: str | None = Field(description="Who last decided about it by hand.")
    decision: str | None

    @classmethod
    def of(cls, found: Delivery) -> Self:
        """Show a message."""
        return cls(**_facts(found))


class DeliveryAnswer(DeliveryLine):
    """One message, with its text and the last answer."""

    body: str | None = Field(description="The message itself; null while it is to be made anew.")
    answer: str | None = Field(description="What the receiver answered last.")

    @classmethod
    def of(cls, found: Delivery) -> Self:
        """Show a message."""
        return cls(**_facts(found), body=found.body, answer=found.answer)


class DeliveryPage(Answer):
    """Some messages, newest first, and the destinations."""

    destinations: list[DestinationAnswer]
    deliveries: list[DeliveryLine]
    next: int | None = Field(description="What to pass as `before` for older ones; null at the end.")


class SendAgainQuestion(Question):
    """That a message is sent again."""

    anew: bool = Field(default=False, description="Make it anew by the settings of now, under another control id.")


class GiveUpQuestion(Question):
    """That a message is not sent."""

    reason: str = Field(min_length=1, max_length=LONGEST_DECISION, examples=["sent by fax"])


def _facts(found: Delivery) -> dict[str, Any]:
    """Return what lists show of a message; pydantic checks it."""
    return {
        "id": found.id,
        "destination": found.destination,
        "slide": found.slide_id,
        "disposition": found.disposition,
        "control_id": found.control_id,
        "state": found.state,
        "attempts": found.attempts,
        "made_at": found.made_at,
        "tried_at": found.tried_at,
        "sent_at": found.sent_at,
        "reason": found.reason,
        "decided_by": found.decided_by,
        "decision": found.decision,
    }
