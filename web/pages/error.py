"""The page that shows a browser a problem."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.responses import Response

from smearcount.web.pages.rendering import page
from smearcount.web.problems import KINDS


def error_page(request: Request, content: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """Return the page of a problem. It shows nothing else, because the browser may not have logged in."""
    kind = str(content["type"]).removeprefix("/problems/")
    remedy = KINDS[kind][2] if kind in KINDS else ""
    answer = page(
        request,
        "error.html",
        None,
        status=content["status"],
        title=content["title"],
        detail=content.get("detail"),
        errors=content.get("errors") or (),
        code=content["status"],
        remedy=remedy,
    )
    answer.headers.update(headers)
    return answer
