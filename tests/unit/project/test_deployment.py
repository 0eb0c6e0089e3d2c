"""The files of containers and services fit together; other tests run what they start."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DEPLOYMENT = ROOT / "deployment"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name for name, service in SERVICES.items() if "build" in service}
UNITS = sorted((DEPLOYMENT / "systemd").iterdir())


def check_build(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DEPLOYMENT / "check_build.py"), "--root", str(root)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def copy_of_build(folder: Path) -> Path:
    """A project as small as the Dockerfile can be checked on."""
    for name in ("Dockerfile", ".dockerignore", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "requirements").mkdir()
    for file in (ROOT / "requirements").iterdir():
        (folder / "requirements" / file.name).touch()
    return folder


def test_the_dockerfile_copies_what_is_there() -> None:
    done = check_build(ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("Dockerfile", "COPY requirements/base.txt", "COPY requirements/gone.txt", "gone.txt, which does not exist"),
        ("Dockerfile", "-r requirements/base.txt", "-r requirements/test.txt", "test.txt, which was not copied"),
        (".dockerignore", "!web\n", "", "web does not reach the build"),
        (".dockerignore", "!requirements/base.txt\n", "", "base.txt, which .dockerignore keeps"),
        ("Dockerfile", "USER 10001:10001\n", "", "runs as root"),
        ("Dockerfile", "AS watcher\n", "AS looker\n", "no target watcher"),
        ("Dockerfile", "python:3.13.14", "python:3", "no exact version"),
        ("Dockerfile", "@sha256:", "-sha256-", "no exact version and digest"),
    ],
)
def test_a_dockerfile_that_cannot_be_built_is_found_out(
    tmp_path: Path, file: str, old: str, new: str, says: str
) -> None:
    copy = copy_of_build(tmp_path)
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new))

    done = check_build(copy)

    assert done.returncode == 1
    assert says in done.stderr


def test_every_model_that_an_image_names_is_shipped() -> None:
    named = re.findall(r"SMEARCOUNT_MODEL=(\S+)", (ROOT / "Dockerfile").read_text())
    assert named
    for path in map(Path, named):
        assert path.parent == Path("/opt/weights"), (
            "the Dockerfile makes this link to the weights that the wheel brings"
        )
        assert (ROOT / "models" / "weights" / path.name).is_file()


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(str(volume).endswith((":/inbox:ro", ":/data")) for volume in service["volumes"])
    assert not {"ports", "container_name"} & service.keys() or name == "web", "more of it could not be started"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_container_is_limited_and_pinned(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[MG]", service["deploy"]["resources"]["limits"]["memory"])
    if name not in OURS:
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-alpine)?$", service["image"])
        assert service["read_only"] is True


def test_each_health_that_is_waited_for_is_checked() -> None:
    for name, service in SERVICES.items():
        for other, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert other in OURS or "healthcheck" in SERVICES[other], f"{name} waits for {other} for ever"


def test_no_secret_stands_in_the_file() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            assert not re.search(r"password|token|_url$", variable, re.IGNORECASE) or "/run/secrets/" in value, name


def test_every_secret_is_made_and_used(tmp_path: Path) -> None:
    subprocess.run([DEPLOYMENT / "make-secrets", tmp_path / "made"], check=True, capture_output=True)

    used = {
        secret if isinstance(secret, str) else secret["source"]
        for service in SERVICES.values()
        for secret in service.get("secrets", ())
    }
    files = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert used == set(COMPOSE["secrets"])
    assert files == {file.name for file in (tmp_path / "made").iterdir()}
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700


def test_making_secrets_again_changes_none(tmp_path: Path) -> None:
    def made() -> dict[str, str]:
        subprocess.run([DEPLOYMENT / "make-secrets", tmp_path], check=True, capture_output=True)
        return {file.name: file.read_text() for file in tmp_path.iterdir()}

    first = made()

    assert made() == first
    password = first["postgres_password"].strip()
    assert len(password) == 40
    assert first["smearcount_database_url"] == f"postgresql://smearcount:{password}@postgres/smearcount\n"
    for part in ("worker", "web"):
        assert re.fullmatch(
            rf"postgresql://smearcount_{part}:\w{{40}}@postgres/smearcount\n", first[f"{part}_database_url"]
        )
    assert first["valkey.conf"].split()[1] in first["smearcount_broker_url"]
    assert len(set(first.values())) == len(first)


def test_another_host_gets_the_addresses_and_nothing_else(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets"
    shutil.copy(DEPLOYMENT / "make-secrets", script)
    for arguments in ([], [str(tmp_path / "other"), "10.0.0.5"]):
        subprocess.run([str(script), *arguments], check=True, capture_output=True)

    first = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    other = {file.name: file.read_text() for file in (tmp_path / "other").iterdir()}

    assert other == {
        "worker_database_url": first["worker_database_url"].replace("@postgres/", "@10.0.0.5/"),
        "smearcount_broker_url": first["smearcount_broker_url"].replace("@valkey:", "@10.0.0.5:"),
    }
    assert "10.0.0.5" in other["worker_database_url"]
    assert first["smearcount_database_url"] not in other.values(), "a helper's login may not change what people did"
    assert "10.0.0.5" in other["smearcount_broker_url"]


def test_every_file_that_is_mounted_is_there() -> None:
    volumes = [str(volume) for service in SERVICES.values() for volume in service.get("volumes", ())]
    files = [volume.partition(":")[0] for volume in volumes if volume.startswith("./")]
    assert files
    for file in files:
        assert (ROOT / file).is_file(), file


def test_the_units_are_valid(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    for unit in UNITS:
        # The program need not be installed where this project is tested.
        (tmp_path / unit.name).write_text(
            unit.read_text().replace("/opt/smearcount/.venv/bin/smearcount ", "/bin/true ")
        )

    done = subprocess.run(
        [program, "verify", "--man=no", "--recursive-errors=no", *(str(tmp_path / unit.name) for unit in UNITS)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in done.stderr, "systemd says of a line that it does not know it"


def test_the_bench_unit_reaches_this_machine_alone() -> None:
    text = (DEPLOYMENT / "systemd" / "smearcount.service").read_text()
    assert "\nIPAddressDeny=any\nIPAddressAllow=localhost\n" in text


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_no_service_may_write_to_the_inbox(unit: Path) -> None:
    text = unit.read_text()
    assert "\nProtectSystem=strict\n" in text
    writable = re.findall(r"^ReadWritePaths=(.*)$", text, re.MULTILINE)
    assert {path for line in writable for path in line.split()} <= {"/var/lib/smearcount", "/var/backups/smearcount"}
    assert re.search(r"^User=smearcount$", text, re.MULTILINE)
    assert not re.search(r"(TOKEN|PASSWORD|_URL)=", text)
