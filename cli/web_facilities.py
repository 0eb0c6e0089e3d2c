"""What the web server is given: what `status` and `doctor` know, without the web server knowing where from."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from cli.examination import examine
from cli.site import Site
from differential.errors import SmearcountError
from models.card import load_card
from web.facilities import Check, Colour, Facilities, ModelFacts, Queue
from worker.queue import BatchQueue


@contextmanager
def web_facilities(site: Site) -> Iterator[Facilities]:
    """Yield what the web server of a site is given; its connection to the broker is closed afterwards."""
    batches = BatchQueue(site.worker, site.broker_url)

    def queue() -> Queue:
        depth = batches.depth()
        return Queue(waiting=depth.waiting, held=depth.held)

    def checks() -> list[Check]:
        return [Check(finding.what, finding.state, finding.details) for finding in examine(site, None)]

    try:
        yield Facilities(
            database=site.database,
            counts=site.counts,
            settings=site.web,
            data=site.data,
            version=version("smearcount"),
            queue=queue,
            examine=checks,
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
    threshold = site.models.threshold
    return ModelFacts(
        card.name,
        card.version,
        card.sha256,
        card.threshold if threshold is None else threshold,
        None if card.colour is None else Colour(card.colour.mean, card.colour.spread),
    )
