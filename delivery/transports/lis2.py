"""LIS2-A2 records to SENAITE: its JSON API takes them at the address `push` and hands them to a consumer."""

import json

from smearcount.delivery.destinations import Lis2Destination
from smearcount.delivery.errors import MessageRefused
from smearcount.delivery.transports.http import HttpClient, accepted, json_object, reachable
from smearcount.delivery.transports.transport import Letter


class Lis2Transport:
    """Pushes one message at a time, as the server of senaite.astm does."""

    def __init__(self, destination: Lis2Destination) -> None:
        """Prepare; the first message connects."""
        self._destination = destination
        self._client = HttpClient(destination, timeout=destination.timeout)

    @property
    def _address(self) -> str:
        return f"{self._destination.base}/@@API/senaite/v1/push"

    def send(self, letter: Letter) -> str:
        """Push a message; see `Transport`. SENAITE says in the answer whether its consumer took it."""
        body = json.dumps({"consumer": self._destination.consumer, "messages": [letter.body]}).encode()
        answer = self._client.request("POST", self._address, body=body, headers={"Content-Type": "application/json"})
        kept = accepted(answer, said=answer.text.strip())
        found = json_object(answer.text)
        if found.get("success") is False:
            raise MessageRefused(f"refused: {str(found.get('message') or 'without a reason')[:500]}", answer=kept)
        return kept

    def check(self) -> str:
        """Ask the API who we are."""
        return reachable(self._client.request("GET", f"{self._destination.base}/@@API/senaite/v1/users/current"))

    def close(self) -> None:
        """End all connections."""
        self._client.close()
