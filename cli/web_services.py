"""The services that the command line gives to the web server: settings, queue depth, diagnostics and the model's facts.

The web room may not import the rooms that these come from.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from smearcount.cli.diagnostics import diagnose
from smearcount.cli.site import Site
from smearcount.differential.errors import SmearcountError
from smearcount.models.card import load_card
from smearcount.web.services import Check, Colour, ModelFacts, Queue, Services
from smearcount.worker.queue import BatchQueue


@contextmanager
def web_services(site: Site) -> Iterator[Services]:
    """Yield the services for the web server of a site, and close their connection to the broker afterwards."""
    batches = BatchQueue(site.worker, site.broker_url)

    def queue() -> Queue:
        depth = batches.depth()
        return Queue(waiting=depth.waiting, held=depth.held)

    def checks() -> list[Check]:
        return [Check(finding.what, finding.state, finding.details) for finding in diagnose(site, None)]

    try:
        yield Services(
            database=site.database,
            counts=site.counts,
            sign_off=site.sign_off,
            settings=site.web,
            data=site.data,
            version=version("smearcount"),
            queue=queue,
            diagnose=checks,
            model=lambda: _model(site),
            mounts=site.mounts,
        )
    finally:
        batches.close()


def _model(site: Site) -> ModelFacts | None:
    try:
        card = load_card(site.models.model)
    except SmearcountError:
        return None
    colour = None if card.colour is None else Colour(card.colour.mean, card.colour.spread)
    return ModelFacts(card.identity(site.models.threshold), colour)
