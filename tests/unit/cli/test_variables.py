"""Deprecated settings and misspelt names are pointed out, once, and no others."""

from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from smearcount.cli.errors import CommandError
from smearcount.cli.site import Site
from smearcount.cli.startup import open_site
from smearcount.cli.variables import SETTINGS, WARNED, is_deprecated, variable
from smearcount.db.engine.database import Database
from smearcount.db.settings import DatabaseSettings

DEPRECATED = [(kind, name) for kind in SETTINGS for name in kind.model_fields if is_deprecated(kind, name)]


def shown(site: Site) -> dict[str, str]:
    return {line.setting: line.source for line in site.lines()}


def test_the_settings_that_nobody_sets_are_deprecated() -> None:
    assert {name for _, name in DEPRECATED} == {
        "rescan_seconds", "empty_seconds", "batch_images", "redelivery_seconds", "web_listeners",
    }  # fmt: skip


def test_an_environment_of_settings_alone_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMEARCOUNT_POLL", "true")
    monkeypatch.setenv("smearcount_workers", "2")
    monkeypatch.setenv("SMEARCOUNT_TEST_ANYTHING", "1")
    monkeypatch.setenv("OTHER_POLL", "1")
    site = Site(poll=True)

    assert site.warnings() == []
    assert not {variable(name) for _, name in DEPRECATED} & set(shown(site))


@pytest.mark.parametrize(("kind", "name"), DEPRECATED)
def test_a_deprecated_setting_is_read_and_listed_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseSettings], name: str
) -> None:
    value = str(kind.model_fields[name].default or 100)
    monkeypatch.setenv(variable(name), value)
    site = Site()

    assert site.warnings() == [
        f"{variable(name)} is deprecated: it is still read, and will be gone in the next release"
    ]
    assert shown(site)[variable(name)] == "environment"


def test_a_deprecated_setting_in_the_secrets_folder_is_found_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "smearcount_batch_images").write_text("8")
    monkeypatch.setenv("SMEARCOUNT_SECRETS", str(tmp_path))
    site = Site()

    assert site.watcher.batch_images == 8
    assert len(site.warnings()) == 1
    assert shown(site)["SMEARCOUNT_BATCH_IMAGES"] == "secrets"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("SMEARCOUNT_POL", "SMEARCOUNT_POLL"),
        ("smearcount_worker", "SMEARCOUNT_WORKERS"),
        ("SMEARCOUNT_DATABASE", "SMEARCOUNT_DATABASE_URL"),
        ("SMEARCOUNT_WEB_TOKN", "SMEARCOUNT_WEB_TOKEN"),
        ("SMEARCOUNT_BATCH_IMAGE", None),  # what is deprecated is not recommended
        ("SMEARCOUNT_XYZZY", None),
        ("SMEARCOUNT_", None),
    ],
)
def test_a_name_that_is_no_setting_is_pointed_out(
    monkeypatch: pytest.MonkeyPatch, given: str, meant: str | None
) -> None:
    monkeypatch.setenv(given, "a value that is not repeated")
    (warning,) = Site().warnings()

    hint = f"; did you mean {meant}?" if meant else ""
    assert warning == f"{given.upper()} is no setting{hint}"


def test_a_secret_that_is_no_setting_is_pointed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "smearcount_web_token",
        "smearcount_database_ur",
        "smearcount_data",
        "postgres_password",
        "valkey.conf",
    ):
        (tmp_path / name).write_text("abcdefghijklmnopqrstuvwxyz")
    monkeypatch.setenv("SMEARCOUNT_SECRETS", str(tmp_path))
    warnings = Site().warnings()

    assert (
        "smearcount_database_ur is no setting; did you mean smearcount_database_url? (in SMEARCOUNT_SECRETS)"
        in warnings
    )
    # The data folder is read from the environment alone.
    assert [warning.partition(" ")[0] for warning in warnings] == ["smearcount_data", "smearcount_database_ur"]


def test_a_command_prints_a_line_for_each_and_what_up_starts_prints_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SMEARCOUNT_EMPTY_SECONDS", "5")
    monkeypatch.setenv("SMEARCOUNT_POL", "true")
    site = open_site()
    printed = capsys.readouterr()

    assert printed.out == ""
    assert printed.err.splitlines() == [
        "warning: SMEARCOUNT_EMPTY_SECONDS is deprecated: it is still read, and will be gone in the next release",
        "warning: SMEARCOUNT_POL is no setting; did you mean SMEARCOUNT_POLL?",
    ]

    for name, value in site.environment().items():
        monkeypatch.setenv(name, value)
    assert open_site().watcher.empty_seconds == 5
    assert capsys.readouterr().err == ""
    assert WARNED not in shown(site)


def test_a_value_that_is_no_json_is_named_with_the_form_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMEARCOUNT_IGNORE", "*_thumb.jpg")

    with pytest.raises(
        CommandError, match=r'^SMEARCOUNT_IGNORE is no JSON \(Patterns .*\["\*_thumb\.jpg", "archive"\]'
    ):
        Site()


def test_a_wrong_value_is_named_with_its_variable_and_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMEARCOUNT_WEB_PORT", "http")

    with pytest.raises(CommandError) as caught:
        Site()

    said = str(caught.value)
    assert said.startswith("SMEARCOUNT_WEB_PORT cannot be 'http': input should be a valid integer")
    assert said.endswith("(Port to listen on; 0 takes any free one.)")


def test_what_kubernetes_sets_for_a_service_of_that_name_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SMEARCOUNT_WEB_PORT": "tcp://10.0.0.1:80",
        "SMEARCOUNT_WEB_SERVICE_HOST": "10.0.0.1",
        "SMEARCOUNT_WEB_SERVICE_PORT": "80",
        "SMEARCOUNT_WEB_SERVICE_PORT_HTTP": "80",
        "SMEARCOUNT_WEB_PORT_80_TCP": "tcp://10.0.0.1:80",
        "SMEARCOUNT_WEB_PORT_80_TCP_PROTO": "tcp",
        "SMEARCOUNT_PORT": "tcp://10.0.0.2:80",
    }.items():
        monkeypatch.setenv(name, value)
    site = Site()

    assert site.web.web_port == 8765
    assert site.warnings() == []


def test_a_misspelt_port_is_still_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMEARCOUNT_WEBB_PORT", "80")

    assert Site().warnings() == ["SMEARCOUNT_WEBB_PORT is no setting; did you mean SMEARCOUNT_WEB_PORT?"]


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%41b", "a b", "ä", "%3F?"])
def test_a_data_folder_of_any_name_holds_its_database(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    with Database(DatabaseSettings().url_for(folder)) as database:
        assert database.file == folder / "smearcount.db"
