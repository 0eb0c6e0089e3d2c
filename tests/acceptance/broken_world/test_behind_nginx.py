"""The pages behind a real nginx that shows them under a prefix, in a real browser; and what they say when the server is lost."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from smearcount.db.engine.database import Database
from smearcount.web.auth.users import Role, Users

from support.browsing import Chromium, chromium
from support.running import Smearcount
from support.servers import free_port
from support.serving import Lab, make_lab
from support.waiting import PATIENCE, wait_until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]

PASSWORD = "correct horse battery"  # noqa: S105 (of a test)

_CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /lab/smears/ {{
      proxy_pass http://127.0.0.1:{inner}/;
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Prefix /lab/smears;
    }}
  }}
}}
"""


@pytest.fixture
def lab(sqlite_database: Database, tmp_path: Path) -> Lab:
    return make_lab(sqlite_database, tmp_path / "inbox")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chromium]:
    with chromium(tmp_path / "artefacts") as opened:
        yield opened


@contextmanager
def nginx(folder: Path, inner: int) -> Iterator[str]:
    """Run nginx in front of a port; yields its address with the prefix."""
    assert NGINX is not None
    folder.mkdir()
    folder.chmod(0o755)
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, inner=inner))
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(configuration)])
    address = f"http://127.0.0.1:{port}/lab/smears"
    try:
        wait_until(lambda: _answers(address), what="nginx")
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/healthz").status_code < 600
    except httpx2.TransportError:
        return False


def test_everything_works_under_a_prefix_and_a_lost_server_is_said(
    browser: Chromium, lab: Lab, smearcount: Smearcount, tmp_path: Path
) -> None:
    ids = lab.add_slide("S1", unidentified=1, damaged=1)
    smearcount.environment["SMEARCOUNT_DATABASE_URL"] = str(lab.database.url)
    smearcount.environment["SMEARCOUNT_WEB_PROXIES"] = '["127.0.0.1"]'
    smearcount.data.mkdir(exist_ok=True)
    Users(smearcount.data / "users.json").set("Anna", Role.REVIEWER, PASSWORD)
    inner = free_port()
    web = smearcount.start("web", "--port", inner)
    wait_until(lambda: _answers(f"http://127.0.0.1:{inner}"), what="the web server")
    with nginx(tmp_path / "nginx", inner) as address, browser.visitor(address) as anna:
        page = anna.page
        page.goto(f"{address}/slides/1")
        page.wait_for_url("**/lab/smears/login?next=**")
        page.fill("[name=name]", "Anna")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/lab/smears/slides/1")
        page.wait_for_selector('#live[data-state="on"]')
        browser.keep(anna, "behind-nginx")

        # A change, its undo, and a cell in its own window.
        before = anna.count("ig")
        anna.select(ids[0])
        anna.press("6")
        page.wait_for_function(
            "(before) => Number(document.querySelector('tr[data-drop=\"ig\"] [data-count]').textContent) > before",
            arg=before,
        )
        anna.press("Enter")
        page.wait_for_selector("#big-view[open] img")
        browser.keep(anna, "behind-nginx-cell")
        anna.press("Escape")

        # Every link of every page leads somewhere below the prefix.
        seen: set[str] = set()
        waiting = ["/lab/smears/"]
        host = address.removesuffix("/lab/smears")
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            assert path.startswith("/lab/smears/"), path
            answer = page.request.get(host + path, headers={"Accept": "text/html"})
            assert answer.status < 400 or "cells/" in path, (path, answer.status)
            if "text/html" in answer.headers["content-type"]:
                found = re.findall(r'<a [^>]*href="([^"#]+)', answer.text())
                waiting += [one.replace("&amp;", "&") for one in found if one.startswith("/")]
        assert {"/lab/smears/trends", "/lab/smears/slides/1", "/lab/smears/docs"} <= seen

        web.send_signal(signal.SIGINT)
        web.communicate(timeout=PATIENCE)
        page.wait_for_selector("#lost:not([hidden])")
        assert "what stands in front of it answers 502" in page.inner_text("#lost")
        again = smearcount.start("web", "--port", inner)
        assert again.poll() is None
        page.wait_for_selector("#lost[hidden]", state="attached")
        # What the browser's own log says of the outage is meant; a restart also ends the login.
        anna.complaints[:] = [one for one in anna.complaints if not re.search("502|ERR_|401", one)]
