"""What the web server is given: what `status` and `doctor` know, without the web server knowing where from."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from smearcount.cli.diagnostics import examine
from smearcount.cli.site import Site
from smearcount.differential.errors import SmearcountError
from smearcount.models.card import load_card
from smearcount.web.services import Check, Colour, Facilities, ModelFacts, Queue
from smearcount.worker.queue import BatchQueue


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
