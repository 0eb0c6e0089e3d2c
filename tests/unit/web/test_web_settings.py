"""What may be set about the web server."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from smearcount.web.settings import WebSettings, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "::1", "127.8.8.8"])
def test_loopback_is_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.7", "localhost.example.org", "127.0.0.1.example.org"])  # noqa: S104
def test_everything_else_is_beyond(host: str) -> None:
    assert not is_loopback(host)


def test_by_default_only_this_machine_can_ask() -> None:
    assert not WebSettings().is_reachable_from_outside


@pytest.mark.parametrize("given", [{"web_host": "0.0.0.0"}, {"web_hosts": ("smears.lab.example",)}])  # noqa: S104
def test_an_outer_address_or_name_is_beyond_loopback(given: dict[str, object]) -> None:
    assert WebSettings(**given).is_reachable_from_outside  # type: ignore[arg-type]


def test_a_token_is_hard_to_guess_and_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for token in ("short", "with space in it, long enough", "non-ascii-ü-but-long-enough"):
        with pytest.raises(ValidationError):
            WebSettings(web_token=token)  # type: ignore[arg-type]
    monkeypatch.setenv("SMEARCOUNT_WEB_TOKEN", "x" * 20)
    settings = WebSettings()
    assert settings.web_token.get_secret_value() == "x" * 20
    assert "xxx" not in repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize("name", ["https://lab.example", "lab.example/x", "", "a b", "*"])
def test_a_host_name_is_a_name_alone(name: str) -> None:
    with pytest.raises(ValidationError):
        WebSettings(web_hosts=(name,))


def test_users_lie_in_the_data_folder_unless_set() -> None:
    assert WebSettings().users_file(Path("/data")) == Path("/data/users.json")
    assert WebSettings(web_users=Path("/etc/u.json")).users_file(Path("/data")) == Path("/etc/u.json")
