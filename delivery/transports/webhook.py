"""A webhook: JSON by POST, signed as Standard Webhooks 1.0 has it (https://www.standardwebhooks.com)."""

import base64
import hashlib
import hmac
import time

from smearcount.delivery.destinations import WebhookDestination
from smearcount.delivery.transports.http import HttpClient, accepted, reachable
from smearcount.delivery.transports.transport import Letter


class WebhookTransport:
    """Posts JSON with a signature over id, time and body."""

    def __init__(self, destination: WebhookDestination) -> None:
        """Prepare; the first message connects."""
        self._destination = destination
        self._client = HttpClient(destination, timeout=destination.timeout)

    def send(self, letter: Letter) -> str:
        """Post a message; see `Transport`. Any answer from 200 to 299 accepts it."""
        body = letter.body.encode()
        headers = {"Content-Type": "application/json", "webhook-id": letter.control_id}
        headers |= signature(self._destination.signing_key, letter.control_id, int(time.time()), body)
        answer = self._client.request("POST", self._destination.url, body=body, headers=headers)
        return accepted(answer, said=answer.text.strip())

    def check(self) -> str:
        """Ask what the address allows, which sends nothing."""
        return reachable(self._client.request("OPTIONS", self._destination.url))

    def close(self) -> None:
        """End all connections."""
        self._client.close()


def signature(key: bytes | None, control_id: str, at: int, body: bytes) -> dict[str, str]:
    """Return the headers that tell the time (seconds since 1970) and prove who wrote the body; without a key the time alone."""
    headers = {"webhook-timestamp": str(at)}
    if key is not None:
        digest = hmac.new(key, f"{control_id}.{at}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers
