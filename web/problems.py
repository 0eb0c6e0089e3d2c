"""The problems that the API answers with, as RFC 9457 describes them: every kind, and the answer that carries one.

No answer repeats what was sent, because that could name a patient.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE: Final = "application/problem+json"

#: Every kind of problem beside the plain HTTP errors, by its code: HTTP status, title, remedy.
KINDS: Final[dict[str, tuple[int, str, str]]] = {
    "invalid": (422, "The request is not as described", "Correct what `errors` lists."),
    "bad-host": (400, "Asked for by a wrong name", "Ask by the name or address that the server was started with."),
    "bad-name": (400, "A person's name is needed", "Send the reviewer's name in the header X-Reviewer."),
    "login-needed": (401, "Nobody is logged in", "Log in at /api/v1/session, or send a bearer token."),
    "wrong-login": (401, "Name or password is wrong", "Try again; ask the operator for a new password."),
    "not-launched": (401, "Not the user who has started this server", "Open the address that up or web has printed, whole."),
    "not-allowed": (403, "Not allowed", "Ask for the role reviewer."),
    "csrf": (403, "The request does not come from our page", "Send the session's token in the header X-CSRF-Token."),
    "foreign-origin": (403, "The request comes from another site", "Ask from a page of this server, or from a program."),
    "behind-proxy": (403, "A proxy needs logins", "Set up users or a token before putting a proxy in front."),
    "unknown-slide": (404, "No such slide", "The list of slides has the ids there are."),
    "unknown-page": (404, "No such page of the list", "Take `after` from `next` or the Link header, with the same sort."),
    "unknown-cell": (404, "No such image", "The list of a slide's cells has the ids there are."),
    "unknown-delivery": (404, "No such message", "The list of deliveries has the ids there are."),
    "no-image": (404, "The file holds no image that can be shown", "Look at the reason why it was quarantined."),
    "image-gone": (410, "The file is not there any more", "Put the file back into the inbox."),
    "image-changed": (410, "The file is not the one that was counted", "Its new content is counted as another cell."),
    "review-conflict": (409, "Someone changed these cells meanwhile", "Look at `conflicts`, and decide again."),
    "signed": (409, "The slide is signed", "Reopen it first, saying why."),
    "result-changed": (409, "The result is not the one that was seen", "Look at `changed`, read the slide again, then sign."),
    "signature-hindered": (409, "Something stands in the way of the signature", "Mend `obstacles`, or acknowledge them."),
    "cursor-alone": (409, "A cursor goes alone", "Send it with `limit` and `format` alone, and choose from the answer."),
    "review-refused": (409, "This cannot be reviewed so", "`detail` says what forbids it."),
    "delivery-refused": (409, "This cannot be decided so", "`detail` says what forbids it."),
    "too-many-logins": (429, "Too many failed logins", "Wait as long as Retry-After says."),
    "too-many-listeners": (503, "Too many follow the changes", "Close a page that follows them, and try again."),
    "failed": (500, "That failed", "`detail` says what to do."),
    "database-unavailable": (503, "The database does not answer", "Try again; it may be starting or busy."),
    "not-ready": (503, "Not ready", "`detail` says what is missing."),
}  # fmt: skip


class FieldError(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="Part of the request: body, query, path or header, and the name in it.")
    detail: str = Field(description="What is wrong with it.")


class ProblemDetails(BaseModel):
    """A problem (RFC 9457)."""

    # Kinds of problems add members of their own.
    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="What kind of problem, a path under /problems; `about:blank` means no more than the status.",
        examples=["/problems/unknown-slide"],
    )
    title: str = Field(description="The kind of problem in words; the same for each of its kind.")
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str | None = Field(default=None, description="What happened here, and what to do.")
    errors: list[FieldError] | None = Field(
        default=None, description="For `invalid`: everything wrong with the request."
    )


class Problem(Exception):
    """Raised to end a request with a problem of one of the KINDS."""

    def __init__(
        self,
        kind: str,
        detail: str,
        members: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the problem.

        Args:
            kind: a key of KINDS.
            detail: what happened, and what to do.
            members: members of the JSON object beside those of ProblemDetails.
            headers: HTTP headers of the answer.
        """
        super().__init__(kind)
        self.kind = kind
        self.detail = detail
        self.members = members or {}
        self.headers = headers or {}

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind][0]

    def as_json(self) -> dict[str, Any]:
        """Return the problem as it is sent."""
        status, title, _ = KINDS[self.kind]
        own = {"type": f"/problems/{self.kind}", "title": title, "status": status, "detail": self.detail}
        return {**own, **self.members}


#: Renders a problem as a page for a browser, from the request, the problem's JSON object and the answer's headers.
ErrorPage = Callable[[Request, Mapping[str, Any], Mapping[str, str]], Response]

_REFERENCE: Final = {"$ref": "#/components/schemas/ProblemDetails"}


def described(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Return the part of an operation's OpenAPI description that lists these kinds of problems."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status, title, remedy = KINDS[kind]
        line = f"`{kind}`: {title}. {remedy}"
        known = responses.setdefault(status, {"description": "", "content": {MEDIA_TYPE: {"schema": _REFERENCE}}})
        known["description"] = f"{known['description']}\n\n{line}".strip()
    return responses


def respond(request: Request, content: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """Return the answer to a request that failed: JSON, or a page if a browser asked for a page."""
    page: ErrorPage | None = getattr(request.app.state, "error_page", None)
    if page is not None and "text/html" in request.headers.get("accept", "") and not _is_api(request.url.path):
        return page(request, content, headers)
    return JSONResponse(dict(content), status_code=content["status"], headers=dict(headers), media_type=MEDIA_TYPE)


def _is_api(path: str) -> bool:
    return path.startswith("/api/")
