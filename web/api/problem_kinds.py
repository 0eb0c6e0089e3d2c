"""Routes that explain each kind of problem; the `type` of a problem is their path."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.exceptions import HTTPException

from smearcount.web.problems import KINDS, described
from smearcount.web.schemas.base import Answer

router = APIRouter(tags=["problems"])


class ProblemKind(Answer):
    """A kind of problem."""

    type: str = Field(examples=["/problems/unknown-slide"])
    title: str
    status: int
    remedy: str = Field(description="What helps.")


@router.get("/problems", summary="All kinds of problems")
async def list_problems() -> list[ProblemKind]:
    """List every kind of problem that an answer may name as its `type`."""
    return [_kind(name) for name in KINDS]


@router.get("/problems/{kind}", summary="What a kind of problem means", responses=described("invalid"))
async def get_problem(
    kind: Annotated[str, Path(max_length=100, description="The last part of a problem's `type`.", examples=["signed"])],
) -> ProblemKind:
    """Explain a kind of problem and what helps."""
    if kind not in KINDS:
        raise HTTPException(404, "there is no such kind of problem")
    return _kind(kind)


def _kind(name: str) -> ProblemKind:
    status, title, remedy = KINDS[name]
    return ProblemKind(type=f"/problems/{name}", title=title, status=status, remedy=remedy)
