"""The services that the command line gives to the web server: settings, queue depth, diagnostics and the model's facts.

The web room may not import the rooms that these come from.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from smearcount.cli.site import Site
from smearcount.differential.errors import SmearcountError
from smearcount.models.card import load_card
from smearcount.web.services import Check, Colour, ModelFacts, Queue, Services

if TYPE_CHECKING:
    from smearcount.worker.queue import BatchQueue


@contextmanager
def web_services(site: Site, launch_token: str) -> Iterator[Services]:
    """Yield the services for the web server of a site, and close their connection to the broker afterwards.

    What the queue and the checks need is loaded when they are first asked for: the pages of a slide need none of it.
    """
    opened: list[BatchQueue] = []
    opening = threading.Lock()

    def queue() -> Queue:
        with opening:
            if not opened:
                from smearcount.worker.queue import BatchQueue  # noqa: PLC0415

                opened.append(BatchQueue(site.worker, site.broker_url))
        depth = opened[0].depth()
        return Queue(waiting=depth.waiting, held=depth.held)

    def checks() -> list[Check]:
        from smearcount.cli.diagnostics import diagnose  # noqa: PLC0415

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
            launch_token=launch_token,
        )
    finally:
        for batches in opened:
            batches.close()


def _model(site: Site) -> ModelFacts | None:
    try:
        card = load_card(site.models.model)
    except SmearcountError:
        return None
    colour = None if card.colour is None else Colour(card.colour.mean, card.colour.spread)
    return ModelFacts(card.identity(site.models.threshold), colour)
