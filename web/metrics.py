"""What a monitoring system asks for, read from the database once per scrape; ids and names of slides never appear."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from db.counts import progress
from db.errors import DatabaseError
from db.records import Progress, TimeSpent
from db.usage import cells_per_model, time_spent
from differential.errors import SmearcountError
from web.facilities import Facilities
from web.feed import ChangeFeed


class SmearcountCollector(Collector):
    """Asks database and broker when it is asked."""

    def __init__(self, facilities: Facilities, feed: ChangeFeed) -> None:
        """Prepare; nothing is asked yet."""
        self._facilities = facilities
        self._feed = feed

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering asks nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return everything as it is now."""
        yield InfoMetricFamily("smearcount", "Version of smearcount.", {"version": self._facilities.version})
        yield _gauge("smearcount_listeners", "Pages and programs that follow the live changes.", self._feed.listeners)
        yield from self._of_the_queue()
        try:
            state = progress(self._facilities.database)
            models = cells_per_model(self._facilities.database)
            spent = time_spent(self._facilities.database)
        except DatabaseError:
            yield _gauge("smearcount_database_up", "Whether the database answers.", 0)
            return
        yield _gauge("smearcount_database_up", "Whether the database answers.", 1)
        yield from _of_the_images(state)
        cells = CounterMetricFamily(
            "smearcount_classifications", "Calls made by each model.", labels=("model", "version", "sha256")
        )
        for used in models:
            cells.add_metric((used.model.name, used.model.version, used.model.sha256[:12]), used.calls)
        yield cells
        yield from _of_the_time(spent)

    def _of_the_queue(self) -> Iterator[Metric]:
        try:
            queue = self._facilities.queue()
        except SmearcountError:
            yield _gauge("smearcount_broker_up", "Whether the broker answers.", 0)
            return
        yield _gauge("smearcount_broker_up", "Whether the broker answers.", 1)
        messages = GaugeMetricFamily(
            "smearcount_queue_messages", "Messages in the queue, each with up to 64 images.", labels=("state",)
        )
        messages.add_metric(("waiting",), queue.waiting)
        messages.add_metric(("held",), queue.held)
        yield messages


def make_registry(facilities: Facilities, feed: ChangeFeed) -> CollectorRegistry:
    """Return the registry of one application."""
    registry = CollectorRegistry()
    registry.register(SmearcountCollector(facilities, feed))
    ProcessCollector(registry=registry)
    return registry


def _of_the_images(state: Progress) -> Iterator[Metric]:
    images = GaugeMetricFamily("smearcount_images", "Images by what became of them.", labels=("state",))
    for name, count in (
        ("pending", state.pending),
        ("queued", state.queued),
        ("done", state.done),
        ("duplicate", state.duplicates),
        ("quarantined", state.quarantined),
        ("superseded", state.superseded),
    ):
        images.add_metric((name,), count)
    yield images
    slides = GaugeMetricFamily("smearcount_slides", "Slides by whether they are complete.", labels=("status",))
    slides.add_metric(("counting",), state.slides - state.slides_complete)
    slides.add_metric(("complete",), state.slides_complete)
    yield slides
    oldest = state.oldest_pending_at
    waits = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0
    yield _gauge("smearcount_oldest_pending_seconds", "Seconds that the oldest open image has waited.", max(waits, 0.0))
    yield _gauge(
        "smearcount_images_per_second", "Images finished per second over the last minute.", state.rate_per_second
    )


def _of_the_time(spent: TimeSpent) -> Iterator[Metric]:
    yield CounterMetricFamily("smearcount_worked_images", "Images that workers have worked on.", spent.images)
    seconds = CounterMetricFamily(
        "smearcount_worked_seconds", "What the workers' time went into, in seconds.", labels=("stage",)
    )
    seconds.add_metric(("reading",), spent.reading)
    seconds.add_metric(("decoding",), spent.decoding)
    seconds.add_metric(("network",), spent.network)
    yield seconds


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value)
