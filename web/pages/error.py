"""The page that a browser is shown when something cannot be done."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.responses import Response

from smearcount.web.pages.rendering import page
from smearcount.web.problems import KINDS


def error_page(request: Request, content: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """Return the page for a problem; who is asking may be unknown, so it shows nothing but the problem."""
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
