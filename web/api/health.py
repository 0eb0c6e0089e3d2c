"""Routes for operation: whether the server lives, whether it can do its work, and metrics."""

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from starlette.requests import Request

from smearcount.db.errors import DatabaseError
from smearcount.db.migration import require_current
from smearcount.web.dependencies import TheDatabase, person
from smearcount.web.problems import Problem, described

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """A server that can answer."""

    status: str = Field(description="Always `ok`; anything else is a problem.", examples=["ok"])


@router.get("/healthz", summary="Does the server live?")
async def healthz() -> Health:
    """Answer as long as the process lives, whatever else is wrong; needs no login."""
    return Health(status="ok")


@router.get("/readyz", summary="Can the server do its work?", responses=described("not-ready"))
def readyz(database: TheDatabase) -> Health:
    """Answer `ok` if the database answers and is of this version; needs no login.

    The broker is not asked: slides can be read and reviewed without it.
    """
    try:
        require_current(database)
    except DatabaseError as error:
        # The error's own message holds the address of the database.
        raise Problem("not-ready", f"{type(error).__name__}: run smearcount doctor on the server") from None
    return Health(status="ok")


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=PlainTextResponse,
    dependencies=[Depends(person)],
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Return numbers of images, slides, the queue and each model's calls; no name of anything that was counted."""
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)
