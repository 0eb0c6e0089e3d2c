"""Whether others on the network could read or change what goes to and from the database."""

from smearcount.db.engine.database import Database

_LOOPBACK = frozenset({"", "localhost", "127.0.0.1", "::1"})
_REMEDY = "add ?sslmode=verify-full&sslrootcert=FILE to its URL, or sslrootcert=system"


def weakness(database: Database) -> str | None:
    """Return what is missing for a connection that nobody can read or change; None if nothing is."""
    if database.file is not None:
        return None
    hosts = _hosts(database)
    if not hosts:
        return None
    mode = database.url.query.get("sslmode", "prefer")
    if mode in {"disable", "allow", "prefer"}:
        return f"the connection to the database on {', '.join(hosts)} need not be encrypted; {_REMEDY}"
    if mode != "verify-full":
        return f"the certificate of the database on {', '.join(hosts)} is not checked; {_REMEDY}"
    return None


def _hosts(database: Database) -> list[str]:
    """Return the other machines that a URL names: its host, or those among its parameters."""
    given = database.url.query.get("host", ())
    named = [database.url.host or "", *(given if isinstance(given, tuple) else given.split(","))]
    # A path is that of a socket.
    return [host for host in named if host not in _LOOPBACK and not host.startswith(("/", "@"))]
