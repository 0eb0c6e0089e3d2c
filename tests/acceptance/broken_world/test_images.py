"""The images that `make images` builds, run as compose runs them: its commands and environment, read-only, as their own user.

Each runs in namespaces of its own instead of a container engine: nothing but /data and /tmp can be written to, and it shares the
network with a real Valkey and PostgreSQL.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from smearcount.db.engine.database import Database
from smearcount.db.queries.inboxes import inbox_lines, progress

from support.exports import drop, exports
from support.servers import PostgresqlServer, ValkeyServer, free_port
from support.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[3]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
IMAGE = "localhost/smearcount/{}"
#: An image of a lean Debian, Python and our packages; the first one that was ever built took 653 MB.
LARGEST_BYTES = 520_000_000

#: Makes the world of a container and becomes its program: $1 is the root, $2 to $4 are inbox, secrets and data.
_ENTER = """
set -eu
root=$1 inbox=$2 secrets=$3 data=$4; shift 4
mount --bind "$root" "$root"
mkdir -p "$root/inbox" "$root/run/secrets"
mount --bind "$inbox" "$root/inbox"
mount -o remount,bind,ro "$root/inbox"
mount --bind "$secrets" "$root/run/secrets"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$data" "$root/data"
mount -o remount,bind,ro "$root"
exec chroot --userspec=10001:10001 --groups= "$root" env -i "$@"
"""


def _built() -> bool:
    if shutil.which("buildah") is None or os.geteuid() != 0:
        return False
    found = subprocess.run(["buildah", "images", "--format", "{{.Name}}"], check=False, capture_output=True, text=True)
    return all(IMAGE.format(name) in found.stdout.split() for name in ("worker", "web", "watcher"))


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _built(), reason="the images are not there; build them with buildah, as root: make images"),
]


class Image:
    """An image that is mounted, and what it says of itself."""

    def __init__(self, name: str) -> None:
        self.container = _buildah("from", IMAGE.format(name))
        self.root = Path(_buildah("mount", self.container))
        about = json.loads(_buildah("inspect", "--type", "image", IMAGE.format(name)))["OCIv1"]
        self.config: Mapping[str, Any] = about["config"]

    def remove(self) -> None:
        """Remove the container that holds the mount."""
        _buildah("umount", self.container)
        _buildah("rm", self.container)

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], *, inbox: Path, secrets: Path, data: Path
    ) -> subprocess.Popen[str]:
        """Start a command as the image's entry point gets it."""
        assert self.config["User"] == "10001:10001"
        variables = [*self.config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        folders = [str(self.root), str(inbox), str(secrets), str(data)]
        return subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _ENTER, "sh", *folders, *variables,
             *self.config["Entrypoint"], *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip


def _buildah(*words: str) -> str:
    return subprocess.run(["buildah", *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, Image]]:
    made = {name: Image(name) for name in ("worker", "web", "watcher")}
    yield made
    for image in made.values():
        image.remove()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The URLs of a PostgreSQL database and a Valkey, both over TCP."""
    postgresql = PostgresqlServer(port=free_port())
    (tmp_path / "valkey").mkdir()
    valkey = ValkeyServer(tmp_path / "valkey", free_port())
    postgresql.start()
    valkey.start()
    try:
        yield postgresql.create("smearcount"), valkey.url
    finally:
        valkey.stop()
        postgresql.remove()


@contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[None]:
    """Yield while a service runs; what it said is shown if it ended by itself."""
    try:
        yield
        assert process.poll() is None, process.communicate()[0]
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def _environment(service: str) -> dict[str, str]:
    """Return a service's environment in the compose file, with the defaults of its variables."""
    given = {str(name): str(value) for name, value in SERVICES[service]["environment"].items()}
    return {name: _default(value) for name, value in given.items()}


def _default(value: str) -> str:
    return value[2:-1].partition(":-")[2] if value.startswith("${") else value


@pytest.mark.parametrize("name", ["worker", "web", "watcher"])
def test_an_image_is_small_and_holds_nothing_that_builds(images: dict[str, Image], name: str) -> None:
    root = images[name].root
    sizes = [path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(sizes) < LARGEST_BYTES
    names = {path.name for path in (root / "opt" / "venv" / "bin").iterdir()}
    assert not {one for one in names if one.startswith("pip")}
    packages = next((root / "opt" / "venv" / "lib").glob("python3*")) / "site-packages"
    assert not {"pip", "setuptools", "matplotlib"} & {path.name for path in packages.iterdir()}
    assert not [path for path in (root / "usr" / "bin").iterdir() if path.name in {"gcc", "cc", "make"}]


def test_the_services_count_together(images: dict[str, Image], servers: tuple[str, str], tmp_path: Path) -> None:
    database_url, broker_url = servers
    inbox, secrets, data = (tmp_path / name for name in ("exports", "secrets", "data"))
    for folder in (secrets, data):
        folder.mkdir()
    os.chown(data, 10001, 10001)
    drop(inbox, exports(slides=1, cells=8))
    port = free_port()
    given = {
        "smearcount_database_url": database_url,
        "smearcount_broker_url": broker_url,
        "smearcount_web_token": "t" * 32,
    }
    for name, content in given.items():
        (secrets / name).write_text(content)
    places = {"inbox": inbox, "secrets": secrets, "data": data}

    migrated = images["watcher"].start(["migrate"], _environment("migrate"), **places)
    said, _ = migrated.communicate(timeout=PATIENCE)
    assert migrated.returncode == 0, said
    web = _environment("web") | {"SMEARCOUNT_WEB_PORT": str(port)}
    with (
        running(images["watcher"].start(SERVICES["watcher"]["command"], _environment("watcher"), **places)),
        running(images["worker"].start(SERVICES["worker"]["command"], _environment("worker"), **places)),
        running(images["web"].start(SERVICES["web"]["command"], web, **places)),
        Database(database_url) as database,
    ):

        def counted() -> bool:
            lines = inbox_lines(database)
            return bool(lines) and progress(database, inbox=lines[0].name).done == 8

        wait_until(counted, what="the images to be counted")
        wait_until(lambda: _is_ready(port), what="the web server")
        assert inbox_lines(database)[0].name == "inbox"
        bearer = {"Authorization": f"Bearer {'t' * 32}"}
        slides = httpx2.get(f"http://127.0.0.1:{port}/api/v1/slides", headers=bearer).json()["slides"]
        assert [slide["slide"] for slide in slides] == ["S00"]
        picture = httpx2.get(f"http://127.0.0.1:{port}/api/v1/cells/1/thumbnail", headers=bearer)
        assert picture.headers["content-type"] == "image/jpeg"


def _is_ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx2.TransportError:
        return False
