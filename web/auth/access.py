"""Who is asking, and what they may do.

On loopback, without users and tokens, everybody at the machine may do everything and gives their name with each change.
Otherwise a person logs in with name and password and gets a session in a cookie, and a program sends a bearer token.
Sessions are kept in this process alone. A restart therefore logs everybody out, which is safe and needs no stored key.
"""

import asyncio
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from starlette.requests import HTTPConnection

from smearcount.web.auth.login_throttle import LoginThrottle
from smearcount.web.auth.users import Role, User, Users, check_name, is_taken
from smearcount.web.errors import AccessOpen, UsersInvalid
from smearcount.web.problems import Problem
from smearcount.web.settings import WebSettings

SESSION_COOKIE: Final = "smearcount_session"
#: The same over HTTPS: browsers take a cookie of this name from HTTPS alone and for this very host alone.
SECURE_SESSION_COOKIE: Final = "__Host-smearcount_session"
REVIEWER_HEADER: Final = "X-Reviewer"
CSRF_HEADER: Final = "X-CSRF-Token"

#: Methods that change nothing: another site's page gains nothing by sending one.
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

#: Passwords that are hashed at a time, and logins that may wait for that.
_HASHED_AT_A_TIME, _MOST_WAITING = 2, 32

#: Most sessions that are kept, the newest ones; a laboratory has tens of people.
_MOST_SESSIONS = 1_000


@dataclass(frozen=True)
class Person:
    """The person or program that asks."""

    #: None if a program, or a browser at an open server, did not say for whom it asks.
    name: str | None
    role: Role
    #: Set if the person has a session; changes then need this token in the header X-CSRF-Token.
    csrf_token: str | None = None
    #: To whom the limits for one person apply; None where everybody at this machine is one.
    account: str | None = None

    @property
    def may_review(self) -> bool:
        """Whether they may change anything."""
        return self.role is Role.REVIEWER


@dataclass
class Session:
    """A login."""

    name: str
    role: Role
    #: Hash of the password that opened the session, which ends when the user gets another one. None if a token opened it.
    password: str | None
    csrf_token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    #: Monotonic times of the login and of the last request, in seconds.
    opened_at: float = field(default_factory=time.monotonic)
    used_at: float = field(default_factory=time.monotonic)


class Access:
    """The access rules of one server, and its sessions."""

    def __init__(self, settings: WebSettings, data: Path) -> None:
        """Read the users file; `data` is the data folder.

        Raises:
            AccessOpen: the server would be reachable from the network without a login.
            UsersInvalid: the users file cannot be read, or the configured one does not exist.
        """
        self._settings = settings
        self.users = Users(settings.users_file(data))
        if settings.web_users is not None and not settings.web_users.exists():
            raise UsersInvalid(
                f"there is no users file {settings.web_users}; make it with: "
                f"smearcount web-user NAME --users {settings.web_users}"
            )
        self._tokens = {
            token.get_secret_value(): role
            for token, role in ((settings.web_viewer_token, Role.VIEWER), (settings.web_token, Role.REVIEWER))
            if token.get_secret_value()
        }
        self._is_open = not self._tokens and not self.users.all()
        if self._is_open and settings.is_reachable_from_outside:
            raise AccessOpen(
                f"{settings.web_host} is reachable from the network, so people must log in: add one with "
                "smearcount web-user NAME --role reviewer, or set SMEARCOUNT_WEB_TOKEN; or listen on 127.0.0.1"
            )
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()
        self._throttle = LoginThrottle()
        # Not the threads that answer requests: hashing takes a tenth of a second, and many at once would keep all others waiting.
        self._hashing = ThreadPoolExecutor(_HASHED_AT_A_TIME, thread_name_prefix="logins")
        self._waiting = 0

    @property
    def is_open(self) -> bool:
        """Whether everybody may use the server without a login.

        The first user closes it for good: a users file that is lost later must not open a server that was closed.

        Raises:
            UsersInvalid: the users file cannot be read, so nobody knows.
        """
        if self._is_open and self.users.all():
            self._is_open = False
        return self._is_open

    @property
    def has_users(self) -> bool:
        """Whether people log in by name and password."""
        return bool(self.users.all())

    def person(self, connection: HTTPConnection) -> Person | None:
        """Return the person who asks; None if they have to log in first.

        Raises:
            Problem: the header X-Reviewer does not hold a possible name, or one of a user, who logs in by themselves.
        """
        if self.is_open:
            return Person(_named(connection), Role.REVIEWER)
        token = _bearer(connection)
        role = None if token is None else self._role(token)
        if token is not None and role is not None:
            name = _named(connection)
            return Person(None if name is None else self._with_token(name, token), role, account=_mark(token))
        session = self._session(connection.cookies.get(session_cookie(connection), ""))
        if session is None:
            return None
        return Person(session.name, session.role, session.csrf_token, account=session.name)

    def is_still_welcome(self, connection: HTTPConnection) -> bool:
        """Say whether the person who once asked would be answered now; this does not prolong their session."""
        if self.is_open:
            return True
        token = _bearer(connection)
        if token is not None and self._role(token) is not None:
            return True
        try:
            return self._session(connection.cookies.get(session_cookie(connection), ""), is_used=False) is not None
        except UsersInvalid:
            return False

    def log_in(self, name: str, password: str, *, client: str) -> tuple[str, Session]:
        """Open a session for a user; return its id, which is secret, and the session.

        Raises:
            Problem: name or password are wrong, or were wrong too often.
        """
        self._throttle.attempt(name, client)
        return self._verified(name, password, client)

    async def log_in_beside(self, name: str, password: str, *, client: str) -> tuple[str, Session]:
        """Do the same as `log_in`, and let the event loop go on meanwhile.

        Raises:
            Problem: name or password are wrong, or were wrong too often, or too many log in at this moment.
        """
        self._throttle.attempt(name, client)
        if self._waiting >= _MOST_WAITING:
            raise Problem("too-many-logins", "too many log in at this moment; try again", headers={"Retry-After": "5"})
        self._waiting += 1
        try:
            running = asyncio.get_running_loop()
            return await running.run_in_executor(self._hashing, self._verified, name, password, client)
        finally:
            self._waiting -= 1

    def _verified(self, name: str, password: str, client: str) -> tuple[str, Session]:
        user = self.users.verified(name, password)
        if user is None:
            raise Problem("wrong-login", "no user has this name and password")
        self._throttle.succeeded(name, client)
        return self._open(Session(name, user.role, user.password))

    def log_in_with_token(self, name: str, token: str, *, client: str) -> tuple[str, Session]:
        """Open a session for a person who knows a token and gives their name, because a browser cannot send the token itself.

        Raises:
            Problem: the token is wrong, or was wrong too often, or the name is not a possible one.
        """
        self._throttle.attempt("", client)
        role = self._role(token)
        if role is None:
            raise Problem("wrong-login", "no such token is set")
        self._throttle.succeeded("", client)
        return self._open(Session(self._with_token(_checked(name), token), role, None))

    def log_out(self, connection: HTTPConnection) -> None:
        """End the session of the person who asks, if they have one."""
        with self._lock:
            self._sessions.pop(_key(connection.cookies.get(session_cookie(connection), "")), None)

    def _with_token(self, name: str, token: str) -> str:
        """Return the name under which what is done with a token is kept: it says by which one.

        Raises:
            Problem: it is the name of a user, whom nobody may speak for.
        """
        if is_taken(name, self.users.all()):
            raise Problem("not-allowed", "this is the name of a user, who logs in with their own password")
        return f"{name} ({_mark(token)})"

    def _open(self, session: Session) -> tuple[str, Session]:
        session_id = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[_key(session_id)] = session
            while len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return session_id, session

    def _session(self, session_id: str, *, is_used: bool = True) -> Session | None:
        if not session_id:
            return None
        key, now = _key(session_id), time.monotonic()
        users = self.users.all()
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            is_over = (
                now - session.used_at > self._settings.web_session_hours * 3600
                or now - session.opened_at > self._settings.web_login_hours * 3600
            )
            if is_over or not _still_theirs(session, users.get(session.name)):
                del self._sessions[key]
                return None
            if not is_used:
                return session
            session.used_at = now
            self._sessions.move_to_end(key)
            return session

    def _role(self, token: str) -> Role | None:
        given, found = token.encode("utf-8", "surrogatepass"), None
        # Compare with every token, in constant time: the duration tells nothing about a token.
        for known, role in self._tokens.items():
            if hmac.compare_digest(given, known.encode()):
                found = role
        return found


def session_cookie(connection: HTTPConnection) -> str:
    """Return the name of the session's cookie; over HTTPS no other is read, since whoever serves another port could set it."""
    return SECURE_SESSION_COOKIE if connection.scope.get("scheme") == "https" else SESSION_COOKIE


def _bearer(connection: HTTPConnection) -> str | None:
    """Return the bearer token of a request; None without one."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _mark(token: str) -> str:
    """Return how records name a token: by the first digits of its SHA-256, from which nobody can guess it."""
    return f"token {hashlib.sha256(token.encode()).hexdigest()[:8]}"


def _still_theirs(session: Session, user: User | None) -> bool:
    """Say whether a session's user is still the one who logged in, with the same password and role."""
    if session.password is None:
        return True
    return user is not None and (user.password, user.role) == (session.password, session.role)


def _named(connection: HTTPConnection) -> str | None:
    given = connection.headers.get(REVIEWER_HEADER)
    # The name is percent-encoded, because a header can hold only the letters of Latin-1.
    return _checked(unquote(given, errors="replace")) if given is not None else None


def _checked(name: str) -> str:
    try:
        return check_name(name)
    except UsersInvalid as error:
        raise Problem("bad-name", str(error)) from None


def _key(session_id: str) -> str:
    # Keep only digests: a dump of the sessions must not hold ids that open them.
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()
