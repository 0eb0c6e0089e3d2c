"""What needs somebody's attention, in words: the alerts of docs/runbook.md, for a machine that no monitoring watches.

The same conditions are rules for Prometheus in deployment/monitoring/alerts.yml, under the same names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from smearcount.cli.settings import AlertSettings
from smearcount.db.queries.health import InboxSigns, RecentFiles, VitalSigns

#: A rate of fewer files or cells than this says nothing.
FEWEST = 100
#: A watcher that has not written for so long that it lives is taken to have ended.
WATCHER_SILENT = timedelta(minutes=1)
#: One that has not for so long was ended on purpose: an inbox that is not used any more.
INBOX_RETIRED = timedelta(days=7)


@dataclass(frozen=True)
class Condition:
    """Something that needs attention."""

    #: Name of the alert, under which the runbook says what to do.
    alert: str
    #: What is the case, for people.
    text: str

    def __str__(self) -> str:
        return f"attention: {self.text} ({self.alert} in docs/runbook.md)"


def conditions(signs: VitalSigns, settings: AlertSettings, now: datetime) -> list[Condition]:
    """Return what needs attention."""
    return [
        *(found for inbox in signs.inboxes for found in _of_inbox(inbox, settings, now)),
        *_of_waiting(signs.oldest_pending_at, settings, now),
        *_of_rates(signs.recent, settings),
    ]


def database_down(error: Exception) -> Condition:
    """Return the condition of a database that does not answer."""
    return Condition("SmearcountDatabaseDown", str(error))


def broker_down(error: Exception) -> Condition:
    """Return the condition of a broker that does not answer."""
    return Condition("SmearcountBrokerDown", str(error))


def has_living_watcher(inboxes: Sequence[InboxSigns], now: datetime) -> bool:
    """Say whether any inbox is watched now."""
    return any(_is_watched(inbox, now) for inbox in inboxes)


def _of_inbox(inbox: InboxSigns, settings: AlertSettings, now: datetime) -> Iterator[Condition]:
    if inbox.watched_at is None or now - inbox.watched_at > INBOX_RETIRED:
        return
    if not _is_watched(inbox, now):
        yield Condition(
            "SmearcountWatcherDown",
            f"nobody watches the inbox {inbox.name} since {_moment(inbox.watched_at)}; what is exported waits there",
        )
        return
    longest = timedelta(hours=settings.alert_nothing_seen_hours)
    if longest and inbox.last_image_at is not None and now - inbox.last_image_at > longest:
        yield Condition(
            "SmearcountNothingSeen",
            f"no image has come into the inbox {inbox.name} since {_moment(inbox.last_image_at)}, "
            f"which is more than {settings.alert_nothing_seen_hours:g} h",
        )


def _of_waiting(oldest: datetime | None, settings: AlertSettings, now: datetime) -> Iterator[Condition]:
    longest = timedelta(minutes=settings.alert_pending_minutes)
    if longest and oldest is not None and now - oldest > longest:
        yield Condition(
            "SmearcountOldestPending",
            f"an image waits to be counted since {_moment(oldest)}, "
            f"which is more than {settings.alert_pending_minutes:g} min",
        )


def _of_rates(recent: RecentFiles, settings: AlertSettings) -> Iterator[Condition]:
    quarantined = _percent(recent.quarantined, recent.files)
    if settings.alert_quarantined_percent and quarantined > settings.alert_quarantined_percent:
        yield Condition(
            "SmearcountQuarantineRate",
            f"{quarantined:.1f} % of the last {recent.files} files are in quarantine, "
            f"which is more than {settings.alert_quarantined_percent:g} %",
        )
    unidentified = _percent(recent.unidentified, recent.cells)
    if settings.alert_unidentified_percent and unidentified > settings.alert_unidentified_percent:
        yield Condition(
            "SmearcountUnidentifiedRate",
            f"{unidentified:.1f} % of the last {recent.cells} cells are unidentified, "
            f"which is more than {settings.alert_unidentified_percent:g} %",
        )


def _percent(count: int, total: int) -> float:
    return 100 * count / total if total >= FEWEST else 0.0


def _is_watched(inbox: InboxSigns, now: datetime) -> bool:
    return inbox.watched_at is not None and now - inbox.watched_at <= WATCHER_SILENT


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
