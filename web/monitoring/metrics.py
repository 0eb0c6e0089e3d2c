"""The metrics for Prometheus, read from the database at every scrape; ids and names of slides never appear.

The values behind the alerts of docs/runbook.md are current, and reading them costs the same however large the archive is.
Totals, which need everything to be counted, may be some seconds old; a metric of its own says how many.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from smearcount.db.delivery.destinations import DestinationHealth, destination_health
from smearcount.db.errors import DatabaseError
from smearcount.db.queries.health import RECENT_FILES, Health, InboxHealth, RecentFiles, read_health
from smearcount.db.queries.usage import ModelUse
from smearcount.db.records import Progress, TimeSpent
from smearcount.differential.errors import SmearcountError
from smearcount.web.live.live_updates import LiveUpdates
from smearcount.web.monitoring.totals import TotalsCache
from smearcount.web.services import Services


class SmearcountCollector(Collector):
    """Reads the metrics from database and broker at each scrape."""

    def __init__(self, services: Services, live_updates: LiveUpdates) -> None:
        """Keep what is read from; nothing is read yet."""
        self._services = services
        self._live_updates = live_updates
        self._totals = TotalsCache(services.database)

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering the collector reads nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics as they are now."""
        yield InfoMetricFamily("smearcount", "Version of smearcount.", {"version": self._services.version})
        yield _gauge(
            "smearcount_listeners", "Pages and programs that follow the live changes.", self._live_updates.listeners
        )
        yield from self._queue_metrics()
        try:
            health = read_health(self._services.database)
            destinations = destination_health(self._services.database)
            totals, age = self._totals.latest()
        except DatabaseError:
            yield _gauge("smearcount_database_up", "Whether the database answers.", 0)
            return
        yield _gauge("smearcount_database_up", "Whether the database answers.", 1)
        yield from _health_metrics(health)
        yield from _delivery_metrics(destinations)
        yield _gauge("smearcount_totals_age_seconds", "Seconds since images, slides, calls and work were counted.", age)
        yield from _image_metrics(totals.progress)
        yield _model_metric(totals.models)
        yield from _time_metrics(totals.spent)

    def _queue_metrics(self) -> Iterator[Metric]:
        try:
            queue = self._services.queue()
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


def make_registry(services: Services, live_updates: LiveUpdates) -> CollectorRegistry:
    """Return the registry of one application."""
    registry = CollectorRegistry()
    registry.register(SmearcountCollector(services, live_updates))
    ProcessCollector(registry=registry)
    return registry


def _health_metrics(health: Health) -> Iterator[Metric]:
    oldest = health.oldest_pending_at
    waits = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0
    yield _gauge("smearcount_oldest_pending_seconds", "Seconds that the oldest open image has waited.", max(waits, 0.0))
    yield from _inbox_metrics(health.inboxes)
    yield _recent_files_metric(health.recent)


def _delivery_metrics(destinations: Iterable[DestinationHealth]) -> Iterator[Metric]:
    """Yield what is still to be sent; a destination that the settings name no more is left out."""
    labels = ("destination",)
    messages = GaugeMetricFamily(
        "smearcount_undelivered_messages", "Messages that are still to be sent, and those that were refused.",
        labels=("destination", "state"),
    )  # fmt: skip
    oldest = GaugeMetricFamily(
        "smearcount_oldest_undelivered_seconds", "Seconds that the oldest result to be sent has waited.", labels=labels
    )
    answers = GaugeMetricFamily("smearcount_destination_up", "Whether the receiver answered last.", labels=labels)
    now = datetime.now(UTC)
    for one in destinations:
        if one.in_use:
            messages.add_metric((one.name, "waiting"), one.waiting)
            messages.add_metric((one.name, "parked"), one.parked)
            waits = 0.0 if one.oldest_at is None else (now - one.oldest_at).total_seconds()
            oldest.add_metric((one.name,), max(waits, 0.0))
            answers.add_metric((one.name,), int(one.failing_since is None))
    yield from (messages, oldest, answers)


def _inbox_metrics(inboxes: Iterable[InboxHealth]) -> Iterator[Metric]:
    # An inbox is labelled with its id, because its name is a folder's and may identify a patient.
    watched = GaugeMetricFamily(
        "smearcount_watcher_alive_timestamp_seconds", "When the inbox's watcher last said that it lives.",
        labels=("inbox",),
    )  # fmt: skip
    seen = GaugeMetricFamily(
        "smearcount_last_image_seen_timestamp_seconds", "When an image of a slide last came into the inbox.",
        labels=("inbox",),
    )  # fmt: skip
    arriving = GaugeMetricFamily("smearcount_arriving_files", "Files that are still being written.", labels=("inbox",))
    for inbox in inboxes:
        label = (str(inbox.inbox_id),)
        if inbox.watched_at is not None:
            watched.add_metric(label, inbox.watched_at.timestamp())
        if inbox.last_image_at is not None:
            seen.add_metric(label, inbox.last_image_at.timestamp())
        arriving.add_metric(label, inbox.arriving)
    yield from (watched, seen, arriving)


def _recent_files_metric(recent: RecentFiles) -> Metric:
    files = GaugeMetricFamily(
        "smearcount_recent_files",
        f"What became of the {RECENT_FILES} files dealt with last, none of them longer ago than a day, by the models' calls.",
        labels=("outcome",),
    )
    for name, count in (
        ("identified", recent.identified),
        ("unidentified", recent.unidentified),
        ("duplicate", recent.duplicates),
        ("quarantined", recent.quarantined),
    ):
        files.add_metric((name,), count)
    return files


def _model_metric(models: Iterable[ModelUse]) -> Metric:
    cells = CounterMetricFamily(
        "smearcount_classifications", "Calls made by each model.", labels=("model", "version", "sha256")
    )
    for used in models:
        cells.add_metric((used.model.name, used.model.version, used.model.sha256[:12]), used.calls)
    return cells


def _image_metrics(state: Progress) -> Iterator[Metric]:
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
    yield _gauge(
        "smearcount_images_per_second", "Images finished per second over the last minute.", state.rate_per_second
    )


def _time_metrics(spent: TimeSpent) -> Iterator[Metric]:
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
