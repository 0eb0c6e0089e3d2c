"""Pictures over HTTP: by id alone, remembered by the browser, and never trusted."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from smearcount.db.engine.database import Database
from smearcount.inbox.mounts import Mounts

from support.serving import HERE, Lab, make_lab


@pytest.fixture
def lab(sqlite_database: Database, tmp_path: Path) -> Lab:
    return make_lab(sqlite_database, tmp_path / "inbox")


@pytest.fixture
def client(lab: Lab) -> Iterator[TestClient]:
    with lab.client() as client:
        yield client


def test_the_image_is_the_very_file_and_names_its_content(lab: Lab, client: TestClient) -> None:
    (cell,) = lab.add_slide("Doe, Jane", ["neutrophil"])  # type: ignore[list-item]
    answer = client.get(f"/api/v1/cells/{cell}/image")
    assert answer.content == (lab.folder / "Doe, Jane" / "cell-0000.jpg").read_bytes()
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["etag"].strip('"') == client.get(f"/api/v1/cells/{cell}").json()["sha256"]
    assert answer.headers["cache-control"].startswith("private")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "Doe" not in str(answer.headers)


def test_it_is_looked_for_where_the_web_servers_machine_sees_the_inbox(lab: Lab) -> None:
    (cell,) = lab.add_slide("S1", ["neutrophil"])  # type: ignore[list-item]
    content = (lab.folder / "S1" / "cell-0000.jpg").read_bytes()
    mounted = lab.folder.rename(lab.folder.with_name("mounted"))
    application = lab.application()
    services = application.state.services
    with TestClient(application, base_url=HERE) as client:
        assert client.get(f"/api/v1/cells/{cell}/image").status_code == 410

        application.state.services = replace(services, mounts=Mounts(elsewhere=str(mounted)))

        assert client.get(f"/api/v1/cells/{cell}/image").content == content
        assert client.get(f"/api/v1/cells/{cell}/thumbnail").status_code == 200


def test_a_browser_that_has_it_is_not_sent_it_again(lab: Lab, client: TestClient) -> None:
    (cell,) = lab.add_slide("S1", ["neutrophil"])  # type: ignore[list-item]
    for path in (f"/api/v1/cells/{cell}/image", f"/api/v1/cells/{cell}/thumbnail?side=64"):
        etag = client.get(path).headers["etag"]
        for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            answer = client.get(path, headers={"If-None-Match": known})
            assert (answer.status_code, answer.content) == (304, b"")
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("side", [64, 96, 128, 192])
def test_a_thumbnail_has_the_size_asked_for(lab: Lab, client: TestClient, side: int) -> None:
    (cell,) = lab.add_slide("S1", ["neutrophil"])  # type: ignore[list-item]
    answer = client.get(f"/api/v1/cells/{cell}/thumbnail?side={side}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (side, side)
    assert client.get(f"/api/v1/cells/{cell}/thumbnail?side={side}").content == answer.content
    assert client.get(f"/api/v1/cells/{cell}/thumbnail?side={side + 1}").status_code == 422


def test_a_file_that_is_gone_or_another_one_is_said_so(lab: Lab, client: TestClient) -> None:
    gone, changed = lab.add_slide("S1", ["neutrophil"] * 2)  # type: ignore[list-item]
    first, second = sorted((lab.folder / "S1").iterdir())
    first.unlink()
    second.write_bytes(second.read_bytes() + b"more")
    for cell, kind in ((gone, "image-gone"), (changed, "image-changed")):
        for what in ("image", "thumbnail"):
            answer = client.get(f"/api/v1/cells/{cell}/{what}")
            assert (answer.status_code, answer.json()["type"]) == (410, f"/problems/{kind}")
            assert answer.headers["cache-control"] == "no-store"
            assert "S1" not in answer.text


def test_what_is_quarantined_is_shown_if_it_is_an_image_and_refused_if_not(lab: Lab, client: TestClient) -> None:
    lab.write("S1", {"x.jpg": b"<html><script>alert(1)</script></html>"})
    cell = client.get("/api/v1/slides/1/cells").json()["cells"][0]["id"]
    answer = client.get(f"/api/v1/cells/{cell}/image")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-image")
    (damaged,) = lab.add_slide("S2", [], damaged=1)
    assert client.get(f"/api/v1/cells/{damaged}/image").headers["content-type"] == "image/jpeg"
