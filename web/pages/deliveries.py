"""The page of what is sent to other systems, and that of one message."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import model_validator
from starlette.responses import HTMLResponse

from smearcount.db.delivery.decisions import delivery
from smearcount.db.schema import DeliveryState
from smearcount.web.api.deliveries import DeliveriesQuery, DeliveryId, list_deliveries
from smearcount.web.dependencies import TheDatabase
from smearcount.web.pages.page_auth import LoggedInPerson
from smearcount.web.pages.rendering import page

router = APIRouter(prefix="/deliveries", include_in_schema=False)

_STATES = {
    DeliveryState.WAITING: "waiting",
    DeliveryState.PARKED: "refused",
    DeliveryState.SENT: "sent",
    DeliveryState.GIVEN_UP: "given up",
}


class DeliveriesPageQuery(DeliveriesQuery):
    """Which messages the page's form asks for; empty fields are left out."""

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, values: Any) -> Any:
        return {name: value for name, value in values.items() if value not in ("", None, [""])}


@router.get("")
def show_deliveries(
    request: Request, person: LoggedInPerson, database: TheDatabase, query: Annotated[DeliveriesPageQuery, Query()]
) -> HTMLResponse:
    """Show the destinations and the messages."""
    found = list_deliveries(database, query)
    return page(request, "deliveries.html", person, found=found, query=query, states=_STATES)


@router.get("/{delivery_id}")
def show_delivery(
    request: Request, person: LoggedInPerson, database: TheDatabase, delivery_id: DeliveryId
) -> HTMLResponse:
    """Show one message and the last answer."""
    found = delivery(database, delivery_id)
    return page(
        request,
        "delivery.html",
        person,
        message=found,
        state=_STATES[found.state],
        texts=[(title, _lines(text)) for title, text in (("Message", found.body), ("Answer", found.answer))],
    )


def _lines(text: str | None) -> str | None:
    """Return a text with the line ends that a browser knows, whatever ends its segments."""
    return None if text is None else text.replace("\r\n", "\n").replace("\r", "\n")
