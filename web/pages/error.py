"""The page that shows a browser a problem."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.responses import Response

from smearcount.web.auth.access import Access, Person
from smearcount.web.errors import UsersInvalid
from smearcount.web.pages.rendering import page
from smearcount.web.problems import KINDS, Problem


def error_page(request: Request, content: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """Return the page of a problem, with the navigation for who is logged in; to others it shows nothing else."""
    kind = str(content["type"]).removeprefix("/problems/")
    remedy = KINDS[kind][2] if kind in KINDS else ""
    answer = page(
        request,
        "error.html",
        _asker(request),
        status=content["status"],
        title=content["title"],
        detail=content.get("detail"),
        errors=content.get("errors") or (),
        code=content["status"],
        remedy=remedy,
    )
    answer.headers.update(headers)
    return answer


def _asker(request: Request) -> Person | None:
    access = request.app.state.access
    assert isinstance(access, Access)  # noqa: S101 (for the type checker: make_application sets it)
    try:
        return access.person(request)
    except (Problem, UsersInvalid):
        return None  # the problem that is shown may be this one
