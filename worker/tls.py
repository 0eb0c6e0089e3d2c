"""Encryption of the connection to the broker: `rediss://` checks the certificate, unless its URL says otherwise."""

import ssl
from urllib.parse import parse_qs, urlsplit

_LOOPBACK = frozenset({"", "localhost", "127.0.0.1", "::1"})


def tls_options(broker_url: str) -> dict[str, object] | None:
    """Return the options for the connection to a broker; None if it is not encrypted.

    The certificate is checked against the system's authorities, or those in the file that `ssl_ca_certs` in the URL names.
    What the URL says of `ssl_cert_reqs` goes first. Without these options, kombu would check nothing.
    """
    if urlsplit(broker_url).scheme.lower() != "rediss":
        return None
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}


def weakness(broker_url: str) -> str | None:
    """Return why others on the network could read or change what goes to and from the broker; None if they cannot."""
    parts = urlsplit(broker_url)
    if parts.scheme.lower() not in {"redis", "rediss"} or (parts.hostname or "") in _LOOPBACK:
        return None
    if parts.scheme.lower() == "redis":
        return f"the connection to the broker on {parts.hostname} is not encrypted; use rediss://"
    given = parse_qs(parts.query)
    is_checked = given.get("ssl_cert_reqs", ["required"])[-1].lower().removeprefix("cert_") == "required"
    if not is_checked or given.get("ssl_check_hostname", ["true"])[-1].lower() == "false":
        return f"the certificate of the broker on {parts.hostname} is not checked; leave ssl_cert_reqs out of its URL"
    return None
