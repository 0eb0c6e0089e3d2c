"""The prefix under which a proxy shows this server, and links that work under it."""

import re
from contextvars import ContextVar
from typing import Final

#: Key of the ASGI scope under which the server keeps a prefix that a trusted proxy has named.
SCOPE_KEY: Final = "smearcount.prefix"

#: A path without its last slash: no //host, nothing that leaves an attribute or a header.
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_ONLY_DOTS: Final = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")

#: Attributes of a rendered page that hold a path from the root of this server. Values are escaped, so a quotation mark is one of
#: the template's own.
_PATHS: Final = re.compile(r' (href|src|action)="/(?!/)')

_prefix: ContextVar[str] = ContextVar("smearcount_prefix", default="")


def prefix() -> str:
    """Return the prefix of the request under way, such as `/smears`; empty at the root of the proxy's host."""
    return _prefix.get()


def use_prefix(given: str) -> None:
    """Keep the prefix of the request under way; what is called for it sees it, also in other threads."""
    _prefix.set(given)


def is_prefix(text: str) -> bool:
    """Say whether a text can be a prefix: empty, or like `/smears` or `/lab/smears`."""
    return not text or (_PREFIX.fullmatch(text) is not None and _ONLY_DOTS.search(text) is None)


def with_prefix(html: str) -> str:
    """Return rendered markup whose links lead below the prefix of the request under way."""
    found = prefix()
    return _PATHS.sub(rf' \1="{found}/', html) if found else html
