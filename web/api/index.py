"""The index of the API: what there is, for who comes without having read anything."""

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from smearcount.web.dependencies import TheServices, person
from smearcount.web.links import prefix
from smearcount.web.schemas.base import Answer

router = APIRouter(tags=["system"], dependencies=[Depends(person)])


class Route(Answer):
    """A path of the API."""

    path: str = Field(description="The path; what stands in braces is an id.", examples=["/api/v1/slides/{slide_id}"])
    methods: list[str] = Field(description="The methods that it takes.", examples=[["GET"]])
    summary: str = Field(description="What it is for.")


class Index(Answer):
    """What there is."""

    version: str = Field(description="Version of smearcount.")
    description: str = Field(description="Path of the OpenAPI document.", examples=["/openapi.json"])
    documentation: str = Field(description="Path of the same as a page for people.", examples=["/docs"])
    routes: list[Route] = Field(description="Every path of the API.")


@router.get("", summary="What is there?")
def get_index(request: Request, services: TheServices) -> Index:
    """Return every path of the API with what it is for, and where it is described."""
    routes = [
        Route(path=prefix() + path, methods=[method.upper() for method in operations], summary=_summary(operations))
        for path, operations in request.app.openapi()["paths"].items()
    ]
    return Index(
        version=services.version,
        description=f"{prefix()}/openapi.json",
        documentation=f"{prefix()}/docs",
        routes=routes,
    )


def _summary(operations: dict[str, dict[str, str]]) -> str:
    return "; ".join(operation.get("summary", "") for operation in operations.values())
