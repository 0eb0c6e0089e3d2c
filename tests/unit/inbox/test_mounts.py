"""Where a machine sees the inboxes: what the setting may say, and whether it fits."""

import pytest
from pydantic import ValidationError

from smearcount.cli.errors import CommandError
from smearcount.cli.site import Site
from smearcount.db.settings import DatabaseSettings
from smearcount.inbox.mounts import Mounts


def mounted(monkeypatch: pytest.MonkeyPatch, value: str) -> Mounts:
    monkeypatch.setenv("SMEARCOUNT_MOUNTS", value)
    return DatabaseSettings().mounted


def test_by_itself_every_inbox_is_where_its_watcher_sees_it() -> None:
    assert DatabaseSettings().mounted == Mounts()
    assert Mounts().folder("inbox", "/srv/exports") == "/srv/exports"


def test_one_folder_is_that_of_the_inbox_whatever_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mounted(monkeypatch, "/mnt/share").folder("inbox", "/srv/exports") == "/mnt/share"


def test_several_inboxes_go_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = mounted(monkeypatch, ' {"ward": "/mnt/ward", "/srv/icu": "/mnt/icu"}')

    assert mounts.folder("ward", "/srv/ward") == "/mnt/ward"
    assert mounts.folder("/srv/icu", "/srv/icu") == "/mnt/icu"
    assert mounts.folder("other", "/srv/other") == "/srv/other"


def test_any_folder_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # As the database keeps the paths of inboxes: see `inbox.paths`.
    assert mounted(monkeypatch, "/mnt/back\\slash").folder("inbox", "/") == "/mnt/back\\\\slash"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("mnt/share", "absolute"),
        ('{"inbox": "mnt/share"}', "absolute"),
        ('{"inbox": ""}', "absolute"),
        ('{"inbox": 7}', "absolute"),
        ('{"inbox": "/mnt', "json"),
    ],
)
def test_what_is_no_folder_is_refused(monkeypatch: pytest.MonkeyPatch, value: str, says: str) -> None:
    monkeypatch.setenv("SMEARCOUNT_MOUNTS", value)

    with pytest.raises(ValidationError):
        DatabaseSettings()
    with pytest.raises(CommandError, match=rf"^SMEARCOUNT_MOUNTS cannot be .*{says}"):
        Site()


@pytest.mark.parametrize("value", ["/mnt/share", '{"inbox": "/mnt/share"}'])
def test_config_shows_it_as_it_would_be_set(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SMEARCOUNT_MOUNTS", value)

    (shown,) = [line for line in Site().lines() if line.setting == "SMEARCOUNT_MOUNTS"]

    assert (shown.value, shown.source) == (value, "environment")


@pytest.mark.parametrize(
    ("mounts", "inboxes", "says"),
    [
        (Mounts(), ["ward", "icu"], None),
        (Mounts(elsewhere="/mnt"), ["ward"], None),
        (Mounts({"ward": "/mnt"}), ["ward", "icu"], None),
        (Mounts({"wrd": "/mnt"}), [], None),
        (Mounts({"wrd": "/mnt"}), ["ward"], "names wrd, but the inboxes are: ward"),
        (Mounts(elsewhere="/mnt"), ["ward", "icu"], "several inboxes: icu, ward"),
    ],
)
def test_what_does_not_fit_the_inboxes_is_said(mounts: Mounts, inboxes: list[str], says: str | None) -> None:
    misfit = mounts.misfit(inboxes)

    assert (misfit is None) is (says is None)
    assert says is None or says in str(misfit)
