"""The way to a destination, by its kind."""

from smearcount.delivery.destinations import (
    Destination,
    FhirDestination,
    FolderDestination,
    Lis2Destination,
    MllpDestination,
    WebhookDestination,
)
from smearcount.delivery.errors import DeliveryError
from smearcount.delivery.transports.folder import FolderTransport
from smearcount.delivery.transports.mllp import MllpTransport
from smearcount.delivery.transports.transport import Transport


def transport(destination: Destination) -> Transport:
    """Return the way to a destination; nothing is connected yet.

    Raises:
        DeliveryError: a file of certificates or keys cannot be used.
    """
    match destination:
        case MllpDestination():
            return MllpTransport(destination)
        case FolderDestination():
            return FolderTransport(destination)
    # What speaks HTTP takes a while to load, which a site with an MLLP receiver alone need not wait for.
    from smearcount.delivery.transports import fhir, lis2, webhook  # noqa: PLC0415

    match destination:
        case FhirDestination():
            return fhir.FhirTransport(destination)
        case WebhookDestination():
            return webhook.WebhookTransport(destination)
        case Lis2Destination():
            return lis2.Lis2Transport(destination)
    raise DeliveryError(f"there is no way to {destination.shown}")
