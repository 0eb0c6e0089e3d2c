"""What the setting of the destinations may say, and that no message about it tells a secret."""

import base64
import re
from pathlib import Path

import pytest

from smearcount.delivery.destinations import (
    KINDS,
    FhirDestination,
    FolderDestination,
    Lis2Destination,
    MllpDestination,
    WebhookDestination,
    destinations,
)
from smearcount.delivery.errors import DeliveryError


def test_one_url_is_enough() -> None:
    (only,) = destinations("mllp://lis.example")
    assert isinstance(only, MllpDestination)
    assert (only.name, only.port, only.profile.sending_application) == ("lis", 2575, "smearcount")
    (folder,) = destinations("folder:/srv/out")
    assert isinstance(folder, FolderDestination)
    assert folder.path == Path("/srv/out")


def test_a_file_describes_several(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token\n")
    file = tmp_path / "destinations.toml"
    file.write_text(
        f"""
        [lis]
        url = "mllps://lis.example:6661"
        receiving_application = "LIS"
        time_zone = "Europe/Berlin"
        [lis.codes]
        26511-6 = "NEUT"
        [server]
        url = "fhir+https://fhir.example/r4/"
        token = "@{tmp_path / "token"}"
        [hook]
        url = "https://hook.example/in"
        [senaite]
        url = "lis2+https://senaite.example/senaite"
        """
    )
    lis, server, hook, senaite = destinations(str(file))
    assert isinstance(lis, MllpDestination)
    assert lis.profile.codes == {"26511-6": "NEUT"}
    assert isinstance(server, FhirDestination)
    assert (server.base, server.token.get_secret_value()) == ("https://fhir.example/r4", "a-token")
    assert isinstance(hook, WebhookDestination)
    assert isinstance(senaite, Lis2Destination)
    assert "a-token" not in repr(server)


def test_the_example_of_the_documentation_is_right() -> None:
    page = (Path(__file__).parents[3] / "docs" / "delivery.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    secret = base64.b64encode(bytes(32)).decode()
    named = destinations(re.sub(r'"@[^"]*"', f'"{secret}"', example))
    assert [type(one) for one in named] == [MllpDestination, FhirDestination, WebhookDestination, FolderDestination]
    table = set(re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", page, re.MULTILINE))
    documented = {name for row in table for name in re.findall(r"`([a-z_]+)`", row)}
    fields = {name for kind in KINDS for name in kind.model_fields} - {"name"}
    assert fields - documented <= {"form", "consumer", "by_identifier", "secret", "url"}, "these are told in the text"
    assert documented <= fields


def test_nothing_is_named_by_default() -> None:
    assert destinations(" ") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://host/", "begins with one of mllp:"),
        ("mllp://", "names no host"),
        ('{"lis": {"url": "mllp://host", "flags": ["fewwbc"]}}', "few-wbc"),
        ('{"lis": {"url": "mllp://host", "codes": {"NEUT": "26511-6"}}}', "26511-6"),
        ('{"lis": {"url": "mllp://host", "observations": ["NEUT"]}}', "26511-6"),
        ("mllp://host:99999", "port"),
        ("mllp://user:hidden@host", "password"),
        ("folder:relative", "whole path"),
        ("/no/such/file.toml", "cannot be read"),
        ('{"lis": {"url": "mllp://host"', "no JSON"),
        ('{"lis": "mllp://host"}', "table"),
        ('{"a name": {"url": "mllp://host"}}', "letters"),
        ('{"lis": {"url": "mllp://host", "hidden": 1}}', "hidden"),
        ('{"lis": {"url": "mllp://host", "time_zone": "Mars"}}', "time zone"),
        ('{"lis": {"url": "mllp://host", "character_set": "EBCDIC"}}', "UNICODE UTF-8"),
        ('{"lis": {"url": "mllps://host", "key": "/k"}}', "certificate"),
        ('{"hook": {"url": "https://host", "secret": "hidden"}}', "base64"),
        ('{"hook": {"url": "https://host", "token": "@/no/such/file"}}', "cannot be read"),
        ('{"server": {"url": "fhir+https://host", "token_url": "https://host"}}', "belong together"),
    ],
)
def test_what_cannot_be_is_said_without_secrets(text: str, said: str) -> None:
    with pytest.raises(DeliveryError, match=r"^SMEARCOUNT_DESTINATIONS: ") as caught:
        destinations(text)
    assert said in str(caught.value)
    assert "hidden@" not in str(caught.value)
    assert "\n" not in str(caught.value)
