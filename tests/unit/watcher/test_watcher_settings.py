"""The settings of watcher and database."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from smearcount.db.settings import DatabaseSettings
from smearcount.watcher.settings import WatcherSettings


@pytest.mark.parametrize("settings", [WatcherSettings, DatabaseSettings])
def test_every_field_says_what_it_is(settings: type[BaseSettings]) -> None:
    for field in settings.model_fields.values():
        assert field.description
        assert field.description.endswith(".")


def test_the_environment_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMEARCOUNT_SETTLE_SECONDS", "0.5")
    monkeypatch.setenv("SMEARCOUNT_POLL", "yes")
    monkeypatch.setenv("SMEARCOUNT_PATTERN", "(?P<slide>.+)/x")
    monkeypatch.setenv("SMEARCOUNT_IGNORE", '["*_thumb.jpg", "archive"]')

    settings = WatcherSettings()

    assert (settings.settle_seconds, settings.poll, settings.pattern) == (0.5, True, "(?P<slide>.+)/x")
    assert settings.ignore == ("*_thumb.jpg", "archive")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("settle_seconds", "-1"),
        ("poll_seconds", "0"),
        ("rescan_seconds", "0"),
        ("batch_images", "65"),
        ("batch_images", "0"),
        ("queue_images", "0"),
        ("quiet_seconds", "soon"),
        ("ignore", '["archive/old"]'),
        ("ignore", '["*"]'),
        ("ignore", '["scan[0-9"]'),
    ],
)
def test_impossible_values_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"SMEARCOUNT_{name.upper()}", value)

    with pytest.raises(ValidationError, match=name):
        WatcherSettings()


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        WatcherSettings().settle_seconds = 9


def test_without_a_url_the_database_is_a_file_in_the_data_folder() -> None:
    assert DatabaseSettings().url_for(Path("/data")) == "sqlite:////data/smearcount.db"


def test_a_url_wins_over_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMEARCOUNT_DATABASE_URL", "postgresql://host/name")

    assert DatabaseSettings().url_for(Path("/data")) == "postgresql://host/name"
