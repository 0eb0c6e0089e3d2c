"""Routes to log in and out, and to ask who is logged in."""

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from smearcount.web.auth.access import Person, session_cookie
from smearcount.web.auth.users import LONGEST_NAME, LONGEST_PASSWORD, Role
from smearcount.web.dependencies import OptionalPerson, TheAccess, ThePerson, TheServices
from smearcount.web.problems import Problem, described

router = APIRouter(prefix="/session", tags=["session"])


class Login(BaseModel):
    """Who wants in: name and password, or one's name and a token."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=LONGEST_NAME, description="The user's name.", examples=["A. Lab"])
    password: SecretStr | None = Field(default=None, max_length=LONGEST_PASSWORD, description="The user's password.")
    token: SecretStr | None = Field(
        default=None, max_length=LONGEST_PASSWORD, description="Instead of a password: a token that the server knows."
    )


class WhoIsAsking(BaseModel):
    """Who is asking, as the server sees it."""

    name: str | None = Field(description="Name under which changes are kept; null where it is sent with each change.")
    role: Role | None = Field(description="`viewer` sees everything, `reviewer` also changes; null if not logged in.")
    csrf_token: str | None = Field(
        description="To be sent in the header X-CSRF-Token with every change; null where there is no session."
    )
    login: bool = Field(description="Whether anybody has to log in at this server.")
    reviewers: list[str] = Field(description="Names to choose from where nobody logs in.", examples=[["A. Lab"]])


@router.get("", summary="Who am I?")
def who(person: OptionalPerson, access: TheAccess, services: TheServices) -> WhoIsAsking:
    """Return who is asking, or that nobody has logged in yet; needs no login."""
    return _who(person, is_open=access.is_open, reviewers=services.settings.web_reviewers if access.is_open else ())


@router.post(
    "",
    summary="Log in",
    status_code=status.HTTP_201_CREATED,
    responses=described("wrong-login", "bad-name", "too-many-logins", "not-allowed"),
)
async def log_in(login: Login, request: Request, response: Response, access: TheAccess) -> WhoIsAsking:
    """Open a session, kept in a cookie that no script can read; changes then need the `csrf_token` in a header.

    Programs do not log in: they send `Authorization: Bearer` with a token each time.
    """
    if access.is_open:
        raise Problem("not-allowed", "nobody logs in at this server; say your name in the header X-Reviewer")
    client = request.client.host if request.client is not None else ""
    if login.token is not None:
        session_id, session = access.log_in_with_token(login.name, login.token.get_secret_value(), client=client)
    else:
        password = login.password.get_secret_value() if login.password is not None else ""
        session_id, session = await access.log_in_beside(login.name, password, client=client)
    response.set_cookie(
        session_cookie(request),
        session_id,
        httponly=True,
        samesite="strict",
        path="/",
        secure=request.url.scheme == "https",
    )
    return _who(Person(session.name, session.role, session.csrf_token), is_open=False)


@router.delete(
    "", summary="Log out", status_code=status.HTTP_204_NO_CONTENT, responses=described("login-needed", "csrf")
)
def log_out(_: ThePerson, request: Request, access: TheAccess) -> Response:
    """End the session and take the cookie back."""
    access.log_out(request)
    response = Response(status_code=status.HTTP_204_NO_CONTENT)
    is_secure = request.url.scheme == "https"
    response.delete_cookie(session_cookie(request), path="/", httponly=True, samesite="strict", secure=is_secure)
    return response


def _who(person: Person | None, *, is_open: bool, reviewers: tuple[str, ...] = ()) -> WhoIsAsking:
    return WhoIsAsking(
        name=person.name if person is not None else None,
        role=person.role if person is not None else None,
        csrf_token=person.csrf_token if person is not None else None,
        login=not is_open,
        reviewers=list(reviewers),
    )
