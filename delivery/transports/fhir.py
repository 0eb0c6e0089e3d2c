"""A FHIR R4 server: each message is a transaction (https://hl7.org/fhir/R4/http.html#transaction)."""

import time
from collections.abc import Iterator
from urllib.parse import urlencode

from smearcount.delivery.destinations import FhirDestination
from smearcount.delivery.errors import DeliveryError, NoAnswer
from smearcount.delivery.transports.http import HttpAnswer, HttpClient, accepted, basic, json_object
from smearcount.delivery.transports.transport import Letter

_TYPE = "application/fhir+json"
#: A token is asked for anew so many seconds before it ends.
_BEFORE_THE_END = 30.0
#: How long a token is good for that does not say it, in seconds.
_USUAL_SECONDS = 300.0


class FhirTransport:
    """Posts transactions, with a token of its own or one that an authorization server gives (OAuth 2.0, RFC 6749, 4.4)."""

    def __init__(self, destination: FhirDestination) -> None:
        """Prepare; the first message connects."""
        self._destination = destination
        self._client = HttpClient(destination, timeout=destination.timeout)
        self._token = ""
        self._token_ends_at = 0.0

    def send(self, letter: Letter) -> str:
        """Post a transaction; see `Transport`."""
        answer = self._request("POST", self._destination.base, letter.body.encode(), request_id=letter.control_id)
        return accepted(answer, said="; ".join(_issues(answer.text)))

    def check(self) -> str:
        """Read the server's capabilities."""
        answer = self._request("GET", f"{self._destination.base}/metadata")
        if not answer.is_accepting:
            said = "; ".join(_issues(answer.text))
            raise DeliveryError(f"HTTP {answer.status}{f': {said}' if said else ''}")
        found = json_object(answer.text)
        version = str(found.get("fhirVersion", ""))
        if found.get("resourceType") != "CapabilityStatement" or not version.startswith("4."):
            raise DeliveryError("what answers is no FHIR R4 server")
        return f"a FHIR server, version {version}"

    def close(self) -> None:
        """End all connections."""
        self._client.close()

    def _request(self, method: str, address: str, body: bytes | None = None, *, request_id: str = "") -> HttpAnswer:
        headers = {"Accept": _TYPE}
        if body is not None:
            headers |= {"Content-Type": _TYPE, "Prefer": "return=minimal", "X-Request-Id": request_id}
        answer = self._client.request(method, address, body=body, headers=headers | self._authorization())
        if answer.status == 401 and self._token:
            # It was withdrawn before its time.
            self._token = ""
            answer = self._client.request(method, address, body=body, headers=headers | self._authorization())
        return answer

    def _authorization(self) -> dict[str, str]:
        destination = self._destination
        if not destination.token_url:
            return {}
        if not self._token or time.monotonic() > self._token_ends_at:
            asked = {"grant_type": "client_credentials"} | ({"scope": destination.scope} if destination.scope else {})
            answer = self._client.request(
                "POST",
                destination.token_url,
                body=urlencode(asked).encode(),
                headers={
                    "Content-Type": "application/x-www-form-urlencoded",
                    "Accept": "application/json",
                    "Authorization": basic(destination.client_id, destination.client_secret.get_secret_value()),
                },
            )
            found = json_object(answer.text)
            if not answer.is_accepting or not isinstance(found.get("access_token"), str):
                why = found.get("error_description") or found.get("error") or "no access_token in the answer"
                raise NoAnswer(
                    f"the authorization server gives no token (HTTP {answer.status}): {str(why)[:300]}", was_sent=False
                )
            self._token = str(found["access_token"])
            seconds = found.get("expires_in")
            lasts = float(seconds) if isinstance(seconds, int | float) else _USUAL_SECONDS
            self._token_ends_at = time.monotonic() + max(lasts - _BEFORE_THE_END, 1.0)
        return {"Authorization": f"Bearer {self._token}"}


def _issues(text: str) -> Iterator[str]:
    """Yield what an OperationOutcome says, or those of a Bundle's responses."""
    found = json_object(text)
    outcomes = [found]
    entries = found.get("entry")
    for entry in entries if isinstance(entries, list) else []:
        response = entry.get("response") if isinstance(entry, dict) else None
        if isinstance(response, dict) and isinstance(response.get("outcome"), dict):
            outcomes.append(response["outcome"])
    for outcome in outcomes:
        issues = outcome.get("issue")
        for issue in issues if isinstance(issues, list) else []:
            if isinstance(issue, dict):
                details = issue.get("details")
                spoken = details.get("text") if isinstance(details, dict) else None
                words = str(issue.get("diagnostics") or spoken or issue.get("code") or "")
                yield f"{issue.get('severity', 'error')}: {words}"
