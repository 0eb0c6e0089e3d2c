"""Requests to a web server: TLS, logging in, and which answers say what."""

import base64
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import urllib3

from smearcount.delivery.destinations import HttpFields
from smearcount.delivery.errors import DeliveryError, MessageRefused, NoAnswer
from smearcount.delivery.transports.tls import tls_context

#: Answers that judge the message itself. All others say that the server cannot take any just now, or is not set up for it.
_REFUSING = frozenset({400, 409, 412, 413, 415, 422})
#: Answers that say nothing of the message: who we are, where we ask, or what stands before the server.
_OF_THE_SERVER = frozenset({401, 403, 404, 405, 408, 429, 502, 503, 504})
_UNREACHED = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.SSLError,
)
#: Most of an answer that is kept, in bytes.
_LARGEST_ANSWER = 100_000


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer of a web server."""

    status: int
    text: str
    retry_after: float | None

    @property
    def is_accepting(self) -> bool:
        """Whether the server has done what it was asked to do."""
        return 200 <= self.status < 300


class HttpClient:
    """Connections to one web server, which are kept between requests. Redirections are not followed: they lead elsewhere."""

    def __init__(self, fields: HttpFields, *, timeout: float) -> None:
        """Prepare; the first request connects.

        Raises:
            DeliveryError: a file of certificates or keys cannot be used.
        """
        self._fields = fields
        self._pool = urllib3.PoolManager(
            ssl_context=tls_context(fields),
            timeout=urllib3.Timeout(connect=min(10.0, timeout), read=timeout),
            retries=False,
            headers={"User-Agent": "smearcount"},
        )

    def request(
        self, method: str, address: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Ask a web server, once.

        Raises:
            NoAnswer: no whole answer came.
        """
        try:
            answer = self._pool.request(
                method, address, body=body, headers={**self._login(), **(headers or {})}, redirect=False,
                preload_content=False,
            )  # fmt: skip
            content = answer.read(_LARGEST_ANSWER + 1, decode_content=True)
            if len(content) > _LARGEST_ANSWER:
                answer.close()  # the rest may never end
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NoAnswer(_why(error), was_sent=not isinstance(error, _UNREACHED)) from error
        text = content[:_LARGEST_ANSWER].decode("utf-8", errors="replace")
        return HttpAnswer(answer.status, text, _seconds(answer.headers.get("Retry-After")))

    def close(self) -> None:
        """End all connections."""
        self._pool.clear()

    def _login(self) -> dict[str, str]:
        token = self._fields.token.get_secret_value()
        if token:
            return {"Authorization": f"Bearer {token}"}
        if self._fields.user:
            return {"Authorization": basic(self._fields.user, self._fields.password.get_secret_value())}
        return {}


def basic(user: str, password: str) -> str:
    """Return the header that logs in by name and password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def accepted(answer: HttpAnswer, *, said: str = "") -> str:
    """Return an answer as it is kept, if it accepts the message.

    Args:
        answer: the answer.
        said: what it says in words, if the caller can read it.

    Raises:
        NoAnswer: the server cannot take the message just now, or is not set up for it.
        MessageRefused: it has looked at the message and refuses it.
    """
    kept = f"HTTP {answer.status}\n{answer.text}"
    if answer.is_accepting:
        return kept
    status = f"HTTP {answer.status}"
    if answer.status in _REFUSING:
        raise MessageRefused(f"{status}: {said[:500]}" if said else status, answer=kept)
    was_judged = answer.status not in _OF_THE_SERVER
    # Logs repeat this reason, so it holds nothing that the server says, which might name a patient.
    raise NoAnswer(status, answer=kept, pause=answer.retry_after, was_sent=was_judged)


def json_object(text: str) -> dict[str, object]:
    """Return the JSON object that a text is; empty if it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def reachable(answer: HttpAnswer) -> str:
    """Return in words that a server answered a request by which it was only looked at.

    Raises:
        DeliveryError: it does not let us in, or has trouble.
    """
    if answer.status in {401, 403}:
        raise DeliveryError(f"it does not let us in (HTTP {answer.status})")
    if answer.status >= 500:
        raise DeliveryError(f"it has trouble (HTTP {answer.status})")
    return f"it answers (HTTP {answer.status})"


def _seconds(text: str | None) -> float | None:
    return min(float(text), 3600.0) if text is not None and text.isdecimal() else None


def _why(error: Exception) -> str:
    """Return what went wrong, without the address, which a path may make long."""
    cause: BaseException = error
    while (deeper := _cause(cause)) is not None:
        cause = deeper
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {cause.verify_message}"
    if isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError):
        return "it does not answer in time"
    return str(getattr(cause, "strerror", None) or cause) or type(cause).__name__


def _cause(error: BaseException) -> BaseException | None:
    """Return the error that another one was made of: urllib3 keeps it in different places."""
    for found in (error.__cause__, getattr(error, "reason", None), *error.args):
        if isinstance(found, BaseException):
            return found
    return None
