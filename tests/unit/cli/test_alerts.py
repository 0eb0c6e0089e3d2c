"""What needs attention, from signs to words."""

from datetime import UTC, datetime, timedelta

import pytest

from smearcount.cli.alerts import current_alerts
from smearcount.cli.settings import AlertSettings
from smearcount.db.queries.health import Health, InboxHealth, RecentFiles

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WELL = RecentFiles(identified=970, unidentified=20, duplicates=5, quarantined=5)


def inbox(*, watched: timedelta | None = timedelta(0), image: timedelta | None = timedelta(0)) -> InboxHealth:
    """An inbox whose watcher lived, and whose last image came, so long ago."""
    ago = [None if one is None else NOW - one for one in (watched, image)]
    return InboxHealth(1, "lab", ago[0], ago[1], arriving=0)


def alerts(
    one: InboxHealth | None = None, *, waits: timedelta | None = None, recent: RecentFiles = WELL, **settings: float
) -> list[str]:
    """Return the names of what needs attention."""
    oldest = None if waits is None else NOW - waits
    health = Health((one or inbox(),), oldest, recent)
    return [alert.name for alert in current_alerts(health, AlertSettings(**settings), NOW)]


def test_an_installation_that_is_well_needs_no_attention() -> None:
    assert alerts(waits=timedelta(seconds=30)) == []
    assert alerts(inbox(watched=None, image=None), recent=RecentFiles()) == [], "nor does one that has not begun"


def test_a_watcher_that_fell_silent_is_said_until_its_inbox_counts_as_retired() -> None:
    assert alerts(inbox(watched=timedelta(seconds=61), image=timedelta(days=3))) == ["SmearcountWatcherDown"]
    assert alerts(inbox(watched=timedelta(days=6))) == ["SmearcountWatcherDown"]
    assert alerts(inbox(watched=timedelta(days=8))) == []


def test_an_inbox_without_new_images_is_said_after_the_hours_set() -> None:
    assert alerts(inbox(image=timedelta(hours=23))) == []
    assert alerts(inbox(image=timedelta(hours=25))) == ["SmearcountNothingSeen"]
    assert alerts(inbox(image=timedelta(hours=3)), alert_nothing_seen_hours=2) == ["SmearcountNothingSeen"]
    assert alerts(inbox(image=timedelta(days=90)), alert_nothing_seen_hours=0) == []
    assert alerts(inbox(image=None)) == [], "an inbox that never had an image is new"


def test_an_image_that_waits_too_long_is_said() -> None:
    assert alerts(waits=timedelta(minutes=14)) == []
    assert alerts(waits=timedelta(minutes=16)) == ["SmearcountOldestPending"]
    assert alerts(waits=timedelta(minutes=3), alert_pending_minutes=2.5) == ["SmearcountOldestPending"]
    assert alerts(waits=timedelta(days=9), alert_pending_minutes=0) == []


@pytest.mark.parametrize(
    ("recent", "expected"),
    [
        (RecentFiles(identified=95, quarantined=5), []),
        (RecentFiles(identified=94, quarantined=6), ["SmearcountQuarantineRate"]),
        (RecentFiles(quarantined=99), []),
        (RecentFiles(identified=85, unidentified=15), []),
        (RecentFiles(identified=84, unidentified=16), ["SmearcountUnidentifiedRate"]),
        # Duplicates and quarantined files are no cells: without them these are fewer than a hundred.
        (RecentFiles(identified=9, unidentified=90, duplicates=900), []),
        (
            RecentFiles(identified=100, unidentified=100, quarantined=100),
            ["SmearcountQuarantineRate", "SmearcountUnidentifiedRate"],
        ),
    ],
)
def test_rates_are_said_above_their_threshold_and_from_a_hundred_on(recent: RecentFiles, expected: list[str]) -> None:
    assert alerts(recent=recent) == expected
    assert alerts(recent=recent, alert_quarantined_percent=0, alert_unidentified_percent=0) == []


def test_the_words_say_what_where_since_when_and_where_to_read_on() -> None:
    (said,) = current_alerts(Health((inbox(image=timedelta(days=2)),), None, WELL), AlertSettings(), NOW)
    since = f"{(NOW - timedelta(days=2)).astimezone():%Y-%m-%d %H:%M}"
    assert str(said) == (
        f"attention: no image has come into the inbox lab since {since}, which is more than 24 h "
        "(SmearcountNothingSeen in docs/runbook.md)"
    )
