"""`rediss://` and PostgreSQL's URL: the certificate is checked, and doctor says where it is not."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smearcount.cli.diagnostics import _encryption
from smearcount.cli.site import Site
from smearcount.db.engine.database import Database
from smearcount.db.engine.transport import weakness as database_weakness
from smearcount.db.records import Batch
from smearcount.worker.errors import BrokerUnavailable
from smearcount.worker.queue import BatchQueue, QueueDepth
from smearcount.worker.settings import WorkerSettings
from smearcount.worker.tls import weakness as broker_weakness

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl, which makes the certificates, is missing"
)


def made(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate for localhost that is its own authority; return it and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
    except OSError:
        return
    finally:
        target.close()


@contextmanager
def behind_tls(broker_url: str, certificate: Path, key: Path) -> Iterator[int]:
    """Put TLS in front of the tests' Valkey, as a proxy does; yields the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                outer = context.wrap_socket(plain, server_side=True)
            except OSError:
                continue  # the client does not trust the certificate
            inner = socket.socket(socket.AF_UNIX)
            inner.connect(broker_url.removeprefix("redis+socket://"))
            for pair in ((outer, inner), (inner, outer)):
                threading.Thread(target=_copy, args=pair, daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def trusted(tmp_path: Path) -> tuple[Path, Path]:
    return made(tmp_path, "broker")


def depth(url: str) -> QueueDepth:
    queue = BatchQueue(WorkerSettings(), url)
    try:
        queue.send(Batch(1, (1, 2)))
        return queue.depth()
    finally:
        queue.close()


def test_a_broker_whose_certificate_nobody_vouches_for_is_refused(broker_url: str, trusted: tuple[Path, Path]) -> None:
    with behind_tls(broker_url, *trusted) as port, pytest.raises(BrokerUnavailable, match="certificate verify failed"):
        depth(f"rediss://localhost:{port}/0")


def test_one_that_the_given_authority_vouches_for_is_used(broker_url: str, trusted: tuple[Path, Path]) -> None:
    with behind_tls(broker_url, *trusted) as port:
        assert depth(f"rediss://localhost:{port}/0?ssl_ca_certs={trusted[0]}").waiting == 1


def test_the_certificate_must_be_for_the_name_that_was_asked(broker_url: str, trusted: tuple[Path, Path]) -> None:
    with behind_tls(broker_url, *trusted) as port, pytest.raises(BrokerUnavailable, match="certificate verify failed"):
        depth(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={trusted[0]}")


def test_another_authority_does_not_do(broker_url: str, trusted: tuple[Path, Path], tmp_path: Path) -> None:
    other, _ = made(tmp_path, "other")
    with behind_tls(broker_url, *trusted) as port, pytest.raises(BrokerUnavailable, match="certificate verify failed"):
        depth(f"rediss://localhost:{port}/0?ssl_ca_certs={other}")


def test_a_site_may_do_without_if_it_says_so(broker_url: str, trusted: tuple[Path, Path]) -> None:
    with behind_tls(broker_url, *trusted) as port:
        assert depth(f"rediss://localhost:{port}/0?ssl_cert_reqs=none").waiting == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://10.0.0.5:6379/0", "on 10.0.0.5 is not encrypted"),
        ("rediss://:secret@broker.lab:6379/0?ssl_cert_reqs=none", "on broker.lab is not checked"),
        ("rediss://broker.lab/0?ssl_check_hostname=false", "on broker.lab is not checked"),
        ("rediss://broker.lab/0", None),
        ("rediss://broker.lab/0?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs=/x", None),
        ("redis://127.0.0.1/0", None),
        ("redis+socket:///run/valkey.sock", None),
    ],
)
def test_what_is_weak_about_a_broker_is_said_without_its_password(url: str, said: str | None) -> None:
    found = broker_weakness(url)
    assert found is None if said is None else said in (found or "")
    assert "secret" not in (found or "")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:secret@10.0.0.5/x", "on 10.0.0.5 need not be encrypted"),
        ("postgresql://u:secret@10.0.0.5/x?sslmode=disable", "need not be encrypted"),
        ("postgresql://u:secret@10.0.0.5/x?sslmode=require", "is not checked"),
        ("postgresql://u:secret@10.0.0.5/x?sslmode=verify-ca", "is not checked"),
        ("postgresql://u:secret@10.0.0.5/x?sslmode=verify-full&sslrootcert=system", None),
        ("postgresql:///x?host=10.0.0.5", "on 10.0.0.5 need not"),
        ("postgresql:///x?host=/run/postgresql", None),
        ("postgresql://u:secret@localhost/x", None),
        ("sqlite:////x/y.db", None),
    ],
)
def test_what_is_weak_about_a_database_is_said_without_its_password(url: str, said: str | None) -> None:
    found = database_weakness(Database(url))
    assert found is None if said is None else said in (found or "")
    assert "secret" not in (found or "")


def test_doctor_says_it(tmp_path: Path) -> None:
    weak = _encryption(Site(data=tmp_path, database_url="postgresql://db.lab/x", broker_url="redis://broker.lab/0"))
    assert weak.state == "unknown", "a network of its own may be protection enough"
    assert "verify-full" in weak.details
    assert "rediss://" in weak.details
    assert _encryption(Site(data=tmp_path)).state == "well"
