"""What all tests share: real databases, a real broker, and the shipped cell images.

Where a server cannot start, its tests are skipped on a developer's machine and fail where CI=true, so that CI never leaves
out a check in silence.
"""

import gc
import os
import shutil
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
import redis
from argon2 import PasswordHasher
from psycopg import sql

from smearcount.cli.local.broker import EmbeddedBroker
from smearcount.db.engine import database as database_module
from smearcount.db.engine.database import Database
from smearcount.db.migration import migrate
from smearcount.web.auth import users
from smearcount.worker.errors import WorkerError

from support import examples
from support.reuse.statements import create_sharing_engine
from support.running import Smearcount
from support.servers import PostgresqlServer, ServerCannotStart

_TEMPLATE = "smearcount_template"

examples.use_thorough()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell makes background jobs ignore SIGINT, and their children inherit it: the Ctrl-C that tests send would do nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Importing and collecting the tests makes many objects that stay. Without searching them for garbage again and again, the fast
# tests take a tenth less time.
gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage from now on, but only in what the tests themselves make."""
    gc.freeze()
    gc.enable()


#: Fixtures that start a server or a process.
_SERVERS = {"_postgresql", "own_postgresql", "_broker", "own_broker", "smearcount"}


#: With --fast, an integration test runs with so many of its parameters.
_PARAMETERS = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which `make check` leaves out slow tests."""
    parser.addoption(
        "--fast",
        action="store_true",
        help="leave out what needs a server, is marked as slow, or repeats an integration test with other parameters",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out slow tests where --fast is given."""
    if config.getoption("--fast"):
        times = Counter[str]()
        slow = {item for item in items if _is_slow(item) or _is_repeated(item, times)}
        config.hook.pytest_deselected(items=[item for item in items if item in slow])
        items[:] = [item for item in items if item not in slow]


def _is_slow(item: pytest.Item) -> bool:
    return (
        item.get_closest_marker("slow") is not None
        or (isinstance(item, pytest.Function) and not _SERVERS.isdisjoint(item.fixturenames))
        # A test that runs once on each kind of database.
        or "postgresql" in item.name.partition("[")[2].removesuffix("]").split("-")
    )


def _is_repeated(item: pytest.Item, times: Counter[str]) -> bool:
    """Tell whether an integration test has run with some parameters already; `times` counts them."""
    name = item.nodeid.partition("[")[0]
    times[name] += 1
    return "integration" in item.path.parts and times[name] > _PARAMETERS


def unavailable(reason: str) -> NoReturn:
    """Skip the test because a server is missing; in CI, where nothing may be left out, fail it."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of the tests; those named SMEARCOUNT_TEST_ are for the tests."""
    for name in os.environ:
        if name.startswith("SMEARCOUNT_") and not name.startswith("SMEARCOUNT_TEST_"):
            monkeypatch.delenv(name)
    # Users see late what a command forgets to flush; the tests must see it as late.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords cheaply: at the production cost, tests would spend most of their time on it."""
    monkeypatch.setattr(users, "PasswordHasher", partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture(scope="session", autouse=True)
def _sql_compiled_once() -> Iterator[None]:
    """Compile each statement once in a process: anew for each test's database, that takes half of most tests' time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_module, "create_engine", create_sharing_engine)
        yield


@pytest.fixture
def own_postgresql() -> Iterator[PostgresqlServer]:
    """Yield a running PostgreSQL that a test may stop, start and spoil."""
    try:
        server = PostgresqlServer()
    except ServerCannotStart as error:
        unavailable(str(error))
    try:
        server.start()
        yield server
    except ServerCannotStart as error:
        unavailable(str(error))
    finally:
        server.remove()


@pytest.fixture(scope="session")
def _postgresql() -> Iterator[str]:
    """Yield the URL of a PostgreSQL server in which databases may be made."""
    given = os.environ.get("SMEARCOUNT_TEST_POSTGRESQL")
    if given:
        yield given
        return
    try:
        server = PostgresqlServer()
    except ServerCannotStart as error:
        unavailable(str(error))
    try:
        server.start()
        yield server.url()
    except ServerCannotStart as error:
        unavailable(str(error))
    finally:
        server.remove()


@pytest.fixture(scope="session")
def _postgresql_template(_postgresql: str) -> Iterator[str]:
    """Yield the name of a migrated PostgreSQL database to copy; migrating takes longer than copying."""
    name = f"{_TEMPLATE}_{uuid.uuid4().hex[:12]}"
    with _postgresql_database(_postgresql, name) as url:
        with Database(url) as made:
            migrate(made)
        yield name


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "smearcount.db"
    with Database(f"sqlite:///{path}") as made:
        migrate(made)
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, _sqlite_template: Path) -> str:
    """URL of a migrated, empty SQLite database."""
    path = tmp_path / "data" / "smearcount.db"
    path.parent.mkdir()
    shutil.copy(_sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(_postgresql: str, _postgresql_template: str) -> Iterator[str]:
    """Yield the URL of a migrated, empty PostgreSQL database."""
    with _postgresql_database(_postgresql, f"smearcount_{uuid.uuid4().hex[:12]}", template=_postgresql_template) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a migrated, empty database: the test runs once on SQLite and once on PostgreSQL."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Yield a migrated, empty database: the test runs once on SQLite and once on PostgreSQL."""
    with Database(database_url) as opened:
        yield opened


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """Yield a migrated, empty SQLite database."""
    with Database(sqlite_url) as opened:
        yield opened


@pytest.fixture
def postgresql_database(postgresql_url: str) -> Iterator[Database]:
    """Yield a migrated, empty PostgreSQL database."""
    with Database(postgresql_url) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Yield a database without any tables: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        with Database(f"sqlite:///{tmp_path / 'bare' / 'smearcount.db'}") as opened:
            yield opened
    else:
        server = str(request.getfixturevalue("_postgresql"))
        with (
            _postgresql_database(server, f"smearcount_{uuid.uuid4().hex[:12]}") as url,
            Database(url) as opened,
        ):
            yield opened


@pytest.fixture(scope="session")
def _broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a Valkey or Redis server that the tests may empty."""
    given = os.environ.get("SMEARCOUNT_TEST_BROKER")
    if given:
        yield given
        return
    folder = tmp_path_factory.mktemp("broker")
    broker = EmbeddedBroker(folder / "data", folder / "broker.log")
    try:
        broker.start()
    except WorkerError as error:
        unavailable(str(error))
    try:
        yield broker.url
    finally:
        broker.stop()


@pytest.fixture
def broker_url(_broker: str) -> Iterator[str]:
    """Yield the URL of a real, empty Valkey."""
    _flush(_broker)
    yield _broker
    _flush(_broker)


@pytest.fixture(scope="session")
def pbc() -> Path:
    """Folder of the real cell images: `train` and `val`, each with a folder per class."""
    beside = Path(__file__).parents[2] / "shared" / "pbc"
    folder = Path(os.environ.get("SMEARCOUNT_TEST_IMAGES") or beside)
    if not (folder / "val").is_dir():
        pytest.skip(f"no cell images in {folder}; name their folder in SMEARCOUNT_TEST_IMAGES")
    return folder


@pytest.fixture
def smearcount(tmp_path: Path) -> Iterator[Smearcount]:
    """Yield the command with a fresh data folder; afterwards end what it started, and fail if a process outlives it."""
    command = Smearcount(tmp_path / "data")
    yield command
    command.end()


def _flush(url: str) -> None:
    is_socket = url.startswith("redis+socket://")
    with redis.Redis.from_url(url.replace("redis+socket://", "unix://") if is_socket else url) as client:
        client.flushdb()


class _postgresql_database:  # noqa: N801 (used like a function)
    """A PostgreSQL database that lives as long as the context."""

    def __init__(self, server: str, name: str, *, template: str = "template0") -> None:
        self._server = server
        self._name = name
        self._template = template

    def __enter__(self) -> str:
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
            sql.Identifier(self._name), sql.Identifier(self._template)
        )
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(made)
        base, _, query = self._server.partition("?")
        return f"{base.rpartition('/')[0]}/{self._name}{'?' + query if query else ''}"

    def __exit__(self, *_: object) -> None:
        dropped = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self._name))
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(dropped)
