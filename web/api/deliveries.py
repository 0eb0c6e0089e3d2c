"""Routes of what is sent to other systems: how it went, and what people decide about messages."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from smearcount.db.delivery import decisions
from smearcount.db.delivery.destinations import destination_health
from smearcount.db.schema import DeliveryState
from smearcount.web.dependencies import TheDatabase, TheReviewer, person
from smearcount.web.problems import described
from smearcount.web.schemas.base import LARGEST_ID, Question
from smearcount.web.schemas.deliveries import (
    DeliveryAnswer,
    DeliveryLine,
    DeliveryPage,
    DestinationAnswer,
    GiveUpQuestion,
    SendAgainQuestion,
)

router = APIRouter(prefix="/deliveries", tags=["deliveries"])

DeliveryId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="Id of the message.", examples=[1])]


class DeliveriesQuery(Question):
    """Which messages are listed."""

    state: list[DeliveryState] = Field(
        default=[], max_length=4, description="Only messages in these states; may be given more than once."
    )
    destination: str | None = Field(default=None, max_length=40, description="Only messages to this destination.")
    slide: int | None = Field(default=None, ge=1, le=LARGEST_ID, description="Only messages of the slide with this id.")
    before: int | None = Field(default=None, ge=1, le=LARGEST_ID, description="`next` of the page before.")
    limit: int = Field(default=50, ge=1, le=200, description="Most messages.")


@router.get("", summary="What is sent to other systems", dependencies=[Depends(person)])
def list_deliveries(database: TheDatabase, query: Annotated[DeliveriesQuery, Query()]) -> DeliveryPage:
    """List the messages, newest first, and how each destination is doing."""
    found = decisions.deliveries(
        database,
        states=query.state,
        destination=query.destination,
        slide_id=query.slide,
        before=query.before,
        limit=query.limit + 1,
    )
    shown = found[: query.limit]
    return DeliveryPage(
        destinations=[DestinationAnswer.of(one) for one in destination_health(database)],
        deliveries=[DeliveryLine.of(one) for one in shown],
        next=shown[-1].id if len(found) > query.limit else None,
    )


@router.get(
    "/{delivery_id}", summary="One message", dependencies=[Depends(person)], responses=described("unknown-delivery")
)
def get_delivery(delivery_id: DeliveryId, database: TheDatabase) -> DeliveryAnswer:
    """Return a message as it was sent, and what the receiver answered last."""
    return DeliveryAnswer.of(decisions.delivery(database, delivery_id))


_DECIDING = described("bad-name", "not-allowed", "csrf", "foreign-origin", "unknown-delivery", "delivery-refused")


@router.post("/{delivery_id}/send-again", summary="Send a message again", responses=_DECIDING)
def send_again(
    delivery_id: DeliveryId, question: SendAgainQuestion, reviewer: TheReviewer, database: TheDatabase
) -> DeliveryLine:
    """Let a message be sent again: as it was, under its control id, or made anew by the settings of now."""
    decisions.send_again(database, delivery_id, by=reviewer, anew=question.anew)
    return DeliveryLine.of(decisions.delivery(database, delivery_id))


@router.post("/{delivery_id}/give-up", summary="Give a message up", responses=_DECIDING)
def give_up(
    delivery_id: DeliveryId, question: GiveUpQuestion, reviewer: TheReviewer, database: TheDatabase
) -> DeliveryLine:
    """Decide that a message is not sent; later messages of its slide go on."""
    decisions.give_up(database, delivery_id, by=reviewer, reason=question.reason)
    return DeliveryLine.of(decisions.delivery(database, delivery_id))
