"""The alerts of docs/runbook.md in words, for a machine that no monitoring system watches.

deployment/monitoring/alerts.yml has the same alerts, under the same names, as rules for Prometheus.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from smearcount.cli.settings import AlertSettings
from smearcount.db.delivery.destinations import DestinationHealth
from smearcount.db.liveness import ALERT_AFTER, watcher_lives
from smearcount.db.queries.health import Health, InboxHealth, RecentFiles

#: Fewer files or cells than this are too few for a rate.
SMALLEST_SAMPLE = 100
#: A watcher that has not reported for longer than this was ended on purpose: nobody uses that inbox any more.
INBOX_RETIRED = timedelta(days=7)


@dataclass(frozen=True)
class Alert:
    """Something that a person should look at."""

    #: Name of the alert; the runbook says under it what to do.
    name: str
    #: What has happened, in words.
    text: str

    def __str__(self) -> str:
        return f"attention: {self.text} ({self.name} in docs/runbook.md)"


def current_alerts(
    health: Health, settings: AlertSettings, now: datetime, destinations: Sequence[DestinationHealth] = ()
) -> list[Alert]:
    """Return the alerts that hold at the moment `now`, those of the inboxes first."""
    return [
        *(found for inbox in health.inboxes for found in _of_inbox(inbox, settings, now)),
        *_of_waiting(health.oldest_pending_at, settings, now),
        *_of_rates(health.recent, settings),
        *(found for one in destinations if one.in_use for found in _of_destination(one, settings, now)),
    ]


def database_down(error: Exception) -> Alert:
    """Return the alert of a database that does not answer."""
    return Alert("SmearcountDatabaseDown", str(error))


def broker_down(error: Exception) -> Alert:
    """Return the alert of a broker that does not answer."""
    return Alert("SmearcountBrokerDown", str(error))


def has_living_watcher(inboxes: Sequence[InboxHealth], now: datetime) -> bool:
    """Say whether at least one inbox has a watcher that has reported lately."""
    return any(_is_watched(inbox, now) for inbox in inboxes)


def _of_inbox(inbox: InboxHealth, settings: AlertSettings, now: datetime) -> Iterator[Alert]:
    if inbox.watched_at is None or now - inbox.watched_at > INBOX_RETIRED:
        return
    if not _is_watched(inbox, now):
        yield Alert(
            "SmearcountWatcherDown",
            f"nobody watches the inbox {inbox.name} since {_moment(inbox.watched_at)}; what is exported waits there",
        )
        return
    longest = timedelta(hours=settings.alert_nothing_seen_hours)
    if longest and inbox.last_image_at is not None and now - inbox.last_image_at > longest:
        yield Alert(
            "SmearcountNothingSeen",
            f"no image has come into the inbox {inbox.name} since {_moment(inbox.last_image_at)}, "
            f"which is more than {settings.alert_nothing_seen_hours:g} h",
        )


def _of_waiting(oldest: datetime | None, settings: AlertSettings, now: datetime) -> Iterator[Alert]:
    longest = timedelta(minutes=settings.alert_pending_minutes)
    if longest and oldest is not None and now - oldest > longest:
        yield Alert(
            "SmearcountOldestPending",
            f"an image waits to be counted since {_moment(oldest)}, "
            f"which is more than {settings.alert_pending_minutes:g} min",
        )


def _of_destination(one: DestinationHealth, settings: AlertSettings, now: datetime) -> Iterator[Alert]:
    longest = timedelta(minutes=settings.alert_delivery_minutes)
    if longest and one.oldest_at is not None and now - one.oldest_at > longest:
        # Why a receiver gave no answer may hold an address, but no name of a slide.
        why = f"; {one.failure}" if one.failure else ""
        yield Alert(
            "SmearcountDeliveryWaiting",
            f"a result waits to be sent to {one.name} since {_moment(one.oldest_at)}, "
            f"which is more than {settings.alert_delivery_minutes:g} min{why}",
        )
    if one.parked:
        messages = "1 message" if one.parked == 1 else f"{one.parked} messages"
        yield Alert(
            "SmearcountDeliveryParked", f"{one.name} has refused {messages}; smearcount deliveries list says why"
        )


def _of_rates(recent: RecentFiles, settings: AlertSettings) -> Iterator[Alert]:
    quarantined = _percent(recent.quarantined, recent.files)
    if settings.alert_quarantined_percent and quarantined > settings.alert_quarantined_percent:
        yield Alert(
            "SmearcountQuarantineRate",
            f"{quarantined:.1f} % of the last {recent.files} files are in quarantine, "
            f"which is more than {settings.alert_quarantined_percent:g} %",
        )
    unidentified = _percent(recent.unidentified, recent.cells)
    if settings.alert_unidentified_percent and unidentified > settings.alert_unidentified_percent:
        yield Alert(
            "SmearcountUnidentifiedRate",
            f"{unidentified:.1f} % of the last {recent.cells} cells were left unidentified by the model, "
            f"which is more than {settings.alert_unidentified_percent:g} %",
        )


def _percent(count: int, total: int) -> float:
    """Return the share in percent; 0, which raises no alert, where the total is too small for a rate."""
    return 100 * count / total if total >= SMALLEST_SAMPLE else 0.0


def _is_watched(inbox: InboxHealth, now: datetime) -> bool:
    return watcher_lives(inbox.watched_at, now, silent_after=ALERT_AFTER)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
