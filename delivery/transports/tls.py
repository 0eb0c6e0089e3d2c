"""TLS with a receiver: its certificate and its name are always checked."""

import ssl

from smearcount.delivery.destinations import TlsFields
from smearcount.delivery.errors import DeliveryError


def tls_context(fields: TlsFields) -> ssl.SSLContext:
    """Return the context for connections to a destination, at least TLS 1.2.

    Raises:
        DeliveryError: a file of certificates or keys cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=None if fields.ca is None else str(fields.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if fields.certificate is not None:
            context.load_cert_chain(fields.certificate, fields.key)
    except (OSError, ssl.SSLError) as error:
        raise DeliveryError(f"the certificates cannot be used: {error.strerror or error}") from None
    return context
