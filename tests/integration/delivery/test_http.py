"""FHIR servers, webhooks and SENAITE: what they are sent, and what their answers mean."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle

from smearcount.delivery.destinations import Destination
from smearcount.delivery.errors import DeliveryError, MessageRefused, NoAnswer
from smearcount.delivery.transports.opening import transport
from smearcount.delivery.transports.transport import Letter, Transport
from smearcount.differential.forms.disposition import Disposition
from smearcount.differential.forms.fhir import transaction
from smearcount.differential.forms.lis2 import records

from support.examining import EXPORT, REMARKS, reviewed_tally, signed
from support.receiving.certificates import authority
from support.receiving.delivering import to
from support.receiving.web import FhirServer, Reply, Request, WebServer, said

#: What logs us in.
KEY = "hidden"

_MADE: list[Transport] = []


def way(destination: Destination) -> Transport:
    """Return a way to a receiver, which is closed when the test ends."""
    _MADE.append(transport(destination))
    return _MADE[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _MADE:
        _MADE.pop().close()


def letter(disposition: Disposition = Disposition.FINAL, *, by_identifier: bool = False) -> Letter:
    bundle = transaction(signed(remarks=REMARKS), EXPORT, disposition, by_identifier=by_identifier)
    return Letter(1, "0123456789abcdef0123", json.dumps(bundle))


@pytest.mark.parametrize("by_identifier", [False, True])
@pytest.mark.parametrize("disposition", Disposition)
def test_a_transaction_is_valid_and_sent_twice_changes_nothing(disposition: Disposition, by_identifier: bool) -> None:
    server = FhirServer()
    with WebServer(server) as web:
        one = way(to(f"fhir+{web.url}/r4", by_identifier=by_identifier))
        assert one.check() == "a FHIR server, version 4.0.1"
        one.send(letter(Disposition.FINAL, by_identifier=by_identifier))
        one.send(letter(disposition, by_identifier=by_identifier))
        known = dict(server.resources)
        one.send(letter(disposition, by_identifier=by_identifier))
    assert server.resources == known
    post = web.requests[-1]
    Bundle.model_validate_json(post.body)
    assert (post.method, post.path) == ("POST", "/r4")
    assert post.headers["content-type"] == "application/fhir+json"
    reports = {place: one for place, one in known.items() if one["resourceType"] == "DiagnosticReport"}
    assert len(reports) == 1
    (report,) = reports.values()
    status = {"preliminary": "partial", "final": "final", "corrected": "amended", "unverified": "partial"}
    assert report["status"] == status.get(disposition.value, "entered-in-error")
    assert {one["reference"] for one in report["result"]} <= known.keys(), "references lead to what the server has"


def test_an_operation_outcome_says_why_it_was_refused() -> None:
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "business-rule", "diagnostics": "unknown specimen"}],
    }
    with (
        WebServer(lambda _: said(outcome, 422)) as web,
        pytest.raises(MessageRefused, match=r"^HTTP 422: error: unknown specimen$") as caught,
    ):
        way(to(f"fhir+{web.url}")).send(letter())
    assert caught.value.answer is not None
    assert "business-rule" in caught.value.answer


@pytest.mark.parametrize(
    ("status", "was_sent"), [(500, True), (302, True), (503, False), (429, False), (401, False), (404, False)]
)
def test_what_is_no_judgement_is_tried_again(status: int, was_sent: bool) -> None:
    with (
        WebServer(lambda _: Reply(status, "", {"Retry-After": "7"})) as web,
        pytest.raises(NoAnswer, match=f"HTTP {status}") as caught,
    ):
        way(to(f"fhir+{web.url}")).send(letter())
    assert caught.value.was_sent == was_sent
    assert caught.value.pause == 7


class Authorized:
    """A FHIR server that lets in who has a token of its authorization server, each good for two requests."""

    def __init__(self) -> None:
        self.fhir = FhirServer()
        self.tokens = 0
        self.left = 0

    def __call__(self, request: Request) -> Reply:
        """Answer a request."""
        if request.path == "/token":
            known = "Basic " + base64.b64encode(b"smearcount:hidden").decode()
            if request.headers.get("authorization") != known:
                return said({"error": "invalid_client"}, 401)
            assert request.body == b"grant_type=client_credentials&scope=system%2F%2A.write"
            self.tokens += 1
            self.left = 2
            return said({"access_token": f"token-{self.tokens}", "expires_in": 300})
        if request.headers.get("authorization") != f"Bearer token-{self.tokens}" or not self.left:
            return said({}, 401)
        self.left -= 1
        return self.fhir(request)


def test_client_credentials_get_a_token_and_another_one_when_it_ends() -> None:
    server = Authorized()
    with WebServer(server) as web:
        known = {"token_url": f"{web.url}/token", "client_id": "smearcount", "scope": "system/*.write"}
        one = way(to(f"fhir+{web.url}/r4", client_secret=KEY, **known))
        for _ in range(5):
            one.send(letter())
        assert server.tokens == 3
        with pytest.raises(NoAnswer, match=r"gives no token \(HTTP 401\): invalid_client"):
            way(to(f"fhir+{web.url}/r4", client_secret="no" + KEY, **known)).send(letter())


def test_a_token_of_ones_own() -> None:
    with WebServer(FhirServer()) as web:
        way(to(f"fhir+{web.url}", token=KEY)).send(letter())
    assert web.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_what_is_no_fhir_server_is_found_out() -> None:
    with WebServer(lambda _: Reply(200, "<html>")) as web, pytest.raises(DeliveryError, match="no FHIR R4 server"):
        way(to(f"fhir+{web.url}")).check()
    with pytest.raises(DeliveryError, match="refused"):
        way(to(f"fhir+{web.url}")).check()


def test_a_certificate_of_nobody_that_we_trust(tmp_path: Path) -> None:
    ours = authority(tmp_path / "ours")
    with WebServer(FhirServer(), tls=ours.server("localhost")) as web:
        with pytest.raises(NoAnswer, match="its certificate is not valid"):
            way(to(f"fhir+{web.url}")).send(letter())
        way(to(f"fhir+{web.url}", ca=str(ours.certificate))).send(letter())
    assert len(web.requests) == 1


def test_a_webhook_is_signed_and_any_2xx_accepts() -> None:
    key = bytes(range(32))
    with WebServer(lambda _: Reply(204)) as web:
        one = way(to(f"{web.url}/in", secret=f"whsec_{base64.b64encode(key).decode()}"))
        one.send(Letter(1, "an-id", '{"type": "slide.signed"}'))
        assert one.check() == "it answers (HTTP 204)"
    (post, _) = web.requests
    told = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    expected = base64.b64encode(hmac.new(key, told, hashlib.sha256).digest()).decode()
    assert post.headers["webhook-signature"] == f"v1,{expected}"
    assert (post.path, post.headers["webhook-id"]) == ("/in", "an-id")
    with (
        WebServer(lambda _: Reply(400, "no such slide")) as web,
        pytest.raises(MessageRefused, match="HTTP 400: no such slide"),
    ):
        way(to(web.url)).send(Letter(1, "an-id", "{}"))
    assert "webhook-signature" not in web.requests[0].headers


def test_senaite_is_pushed_records_and_says_whether_it_took_them() -> None:
    answers = [said({"success": True}), said({"success": False, "message": "no sample S-1234"})]
    text = records(signed(), EXPORT, Disposition.FINAL, control_id="x", codes={"26511-6": "NEUT"})
    with WebServer(lambda _: answers.pop(0)) as web:
        one = way(to(f"lis2+{web.url}/senaite", user="lab", password=KEY))
        one.send(Letter(1, "x", text))
        with pytest.raises(MessageRefused, match="no sample S-1234"):
            one.send(Letter(2, "y", text))
    post = web.requests[0]
    assert post.path == "/senaite/@@API/senaite/v1/push"
    assert post.json == {"consumer": "senaite.lis2a.import", "messages": [text]}
    assert post.headers["authorization"] == "Basic " + base64.b64encode(b"lab:hidden").decode()


def test_lis2_records_tell_what_the_report_tells() -> None:
    lines = records(
        signed(remarks=REMARKS, reviewed=reviewed_tally()), EXPORT, Disposition.CORRECTED, control_id="x",
        codes={"26511-6": "NEUT^Neutrophils"}, wanted={"26511-6", "wbc-counted"},
    ).split("\r")  # fmt: skip
    assert lines[-1] == ""
    assert [line[0] for line in lines if line and line[0] != "C"] == ["H", "P", "O", "R", "R", "L"]
    (order,) = [line.split("|") for line in lines if line.startswith("O|")]
    assert (order[2], order[25]) == ("S-1234", "C")
    first, second = (line.split("|") for line in lines if line.startswith("R|"))
    assert first[2].startswith("^^^NEUT^")
    assert (first[3], first[4], first[5], first[8]) == ("76.7", "%", "39 to 75", "C")
    assert second[2].startswith("^^^wbc-counted^")
    assert second[3] == "103"
