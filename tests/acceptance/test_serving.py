"""`up` serves the pages while it counts, and sends what is signed there."""

import re
import signal
import socket
import subprocess
from pathlib import Path

import httpx2
import psutil
import pytest

from support.exports import drop, exports
from support.receiving.mllp import Lis
from support.running import Smearcount
from support.waiting import PATIENCE, wait_until

ANNA = {"X-Reviewer": "Anna"}


def address_of(up: subprocess.Popen[str]) -> str:
    """Return the address that `up` prints."""
    assert up.stdout is not None
    for line in up.stdout:
        if found := re.search(r"slides are shown and reviewed at (http://[^\s?]+)", line):
            return found[1]
    return pytest.fail("up did not say where it serves the pages")


def answers(address: str, path: str = "readyz") -> httpx2.Response | None:
    """Return the answer of the server at an address; None if nothing listens there."""
    try:
        return httpx2.get(address + path, timeout=PATIENCE)
    except httpx2.TransportError:
        return None


def is_ready(address: str) -> bool:
    answer = answers(address)
    return answer is not None and answer.status_code == 200


def test_what_is_dropped_is_served_until_the_end(smearcount: Smearcount, inbox: Path) -> None:
    drop(inbox, exports(slides=1, cells=3))
    up = smearcount.start("up", inbox, "--web", "--port", 0)
    address = address_of(up)

    wait_until(lambda: is_ready(address), what="the web server to be ready")
    wait_until(lambda: smearcount.is_counted(3), what="the slide to be counted")
    slides = httpx2.get(f"{address}api/v1/slides").json()

    assert [slide["slide"] for slide in slides["slides"]] == ["S00"]
    up.send_signal(signal.SIGINT)
    assert up.wait(PATIENCE) == 130
    assert answers(address) is None, "it ends with up"


def test_a_port_that_is_taken_is_an_error_where_it_was_asked_for(smearcount: Smearcount, inbox: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = smearcount.call("up", inbox, "--web", "--port", port)

    assert done.returncode == 1
    assert f"error: cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "--port" in done.stderr


def test_two_installations_on_one_machine_serve_at_two_ports(
    smearcount: Smearcount, inbox: Path, tmp_path: Path
) -> None:
    second_inbox = tmp_path / "second"
    second_inbox.mkdir()
    first = address_of(smearcount.start("up", inbox, "--web"))
    wait_until(lambda: is_ready(first), what="the first web server to be ready")

    second = address_of(smearcount.start("up", second_inbox, "--web", "--data", tmp_path / "other-data"))

    assert first != second
    wait_until(lambda: is_ready(second), what="the second web server to be ready")


def test_counting_once_serves_nothing(smearcount: Smearcount, inbox: Path) -> None:
    drop(inbox, exports(slides=1, cells=2))
    done = smearcount.run("up", inbox, "--once", "--web")

    assert done.returncode == 0, done.stderr
    assert "http://" not in done.stderr
    assert not (smearcount.data / "logs" / "web.log").exists()


def sign(client: httpx2.Client) -> None:
    detail = client.get("/api/v1/slides/1").json()
    body = {"seen_digest": detail["digest"], "acknowledged": [one["code"] for one in detail["obstacles"]]}
    answer = client.post("/api/v1/slides/1/sign-off", json=body, headers=ANNA)
    assert answer.status_code == 201, answer.text


def senders(up: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(up.pid).children()
    return [child for child in children if child.cmdline()[-1:] == ["deliver"]]


@pytest.mark.slow
def test_a_signed_slide_reaches_the_receiver_through_up(smearcount: Smearcount, inbox: Path) -> None:
    drop(inbox, exports(slides=1, cells=3))
    with Lis() as lis:
        smearcount.environment["SMEARCOUNT_DESTINATIONS"] = lis.url
        up = smearcount.start("up", inbox, "--web", "--port", 0)
        address = address_of(up)
        with httpx2.Client(base_url=address, timeout=PATIENCE) as client:
            wait_until(lambda: is_ready(address), what="the web server to be ready")
            wait_until(lambda: smearcount.is_counted(3), what="the slide to be counted")
            wait_until(lambda: smearcount.json("deliveries", "destinations"), what="the sender to know its destination")
            sign(client)
            lis.until(1)
            (sender,) = senders(up)
            sender.kill()
            client.post("/api/v1/slides/1/reopen", json={"reason": "look again"}, headers=ANNA).raise_for_status()
            sign(client)
            wait_until(lambda: len(lis.told().get("S00", [])) == 3, what="all three messages")
        assert [message.status for message in lis.told()["S00"]] == ["F", "R", "C"]
        up.send_signal(signal.SIGINT)
        assert up.wait(PATIENCE) == 130
    log = (smearcount.data / "logs" / "deliver.log").read_text()
    assert "S00" not in log
