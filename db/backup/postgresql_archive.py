"""Dumping a PostgreSQL database into an archive of pg_dump, and restoring it, with PostgreSQL's own client programs.

Only smearcount's tables and views are dumped and replaced: a laboratory may keep other tables in the same database.

An archive holds statements, and whoever made it could have written any into it. So only its rows are read: we make the tables
ourselves, and of what pg_restore writes as a script we take the lines of the rows and run nothing.
"""

import re
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql
from sqlalchemy import Connection, exc, func, inspect, select, text
from sqlalchemy.engine import URL

from smearcount.db.audit import guards
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.schema import VIEWS, Base

_TABLES = ("alembic_version", *Base.metadata.tables)

# Drops what is smearcount's before the archive creates its own, in one transaction. A view that a site has built on one of
# these keeps it from being dropped. Then nothing is changed, and PostgreSQL's message names that view; it would not if one
# statement dropped several views.
_DROP = "SET client_min_messages = warning;\n" + "".join(
    [f"DROP VIEW IF EXISTS {view};\n" for view in VIEWS]
    + [f"DROP TABLE IF EXISTS {', '.join(_TABLES)};\n", f"DROP FUNCTION IF EXISTS {guards.FUNCTION}();\n"]
)

#: Number of a program's last lines that are kept, to find the reason in them if it fails.
_LINES_KEPT = 50

_COPY_ENDS = b"\\.\n"
_COPY = re.compile(rb'COPY (?:\w+\.)?(\w+) \(("?\w+"?(?:, "?\w+"?)*)\) FROM stdin;\n')
_REFERENCES = text(
    "SELECT relname, conname, pg_get_constraintdef(pg_constraint.oid) FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid"
    " WHERE contype = 'f' AND relname = ANY(:tables) AND pg_table_is_visible(conrelid) ORDER BY relname, conname"
)
_ENCODING = re.compile(rb"SET client_encoding = '([\w-]+)';\n")


def dump(database: Database, part: Path, progress: Callable[[int], None]) -> None:
    """Dump one state of smearcount's tables and views into the file `part`, while others read and write them.

    Raises:
        DatabaseUnavailable: the database does not answer.
        DatabaseError: pg_dump is missing, too old for the server, or failed.
    """
    program = _program("pg_dump", database)
    with database.reading() as connection:
        found = inspect(connection)
        tables = sorted(set(_TABLES) & set(found.get_table_names()))
        names = [*tables, *sorted(set(VIEWS) & set(found.get_view_names()))]
    options = ["--format=custom", "--no-owner", "--no-privileges", "--no-password", "--verbose", f"--file={part}"]
    with (
        _address(database) as address,
        _running(
            # Without LC_ALL=C, the lines that are read below would be translated.
            ["env", "LC_ALL=C", program, *options, *(f"--table={name}" for name in names), f"--dbname={address}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        begun = 0
        said: deque[bytes] = deque(maxlen=_LINES_KEPT)
        for line in _lines(process.stderr):
            if b"dumping contents of table" in line:
                progress(100 * begun // len(tables))
                begun += 1
            said.append(line)
        if process.wait() != 0:
            raise DatabaseError(f"pg_dump failed: {_error_in(b''.join(said))}")


def restore(database: Database, file: Path, revision: str, progress: Callable[[int], None]) -> None:
    """Replace smearcount's tables and views by our own with the rows of an archive, all of them or nothing.

    Args:
        database: the one to replace.
        file: the archive.
        revision: the migration that it is at.
        progress: called with the part that is done, in percent.

    Raises:
        DatabaseUnavailable: the database does not answer.
        DatabaseError: a process uses the database, pg_restore is missing, or the archive cannot be read or restored.
    """
    reader = _program("pg_restore", database)
    _require_unused(database)
    from smearcount.db import upgrade  # noqa: PLC0415 (loads Alembic, which most commands do not need)

    with tempfile.TemporaryFile() as errors, database.writing(durable=True) as connection:
        try:
            connection.exec_driver_sql(_DROP)
            upgrade.upgrade(connection, revision)
            tables = _our_columns(connection)
            options = ["--data-only", *(f"--table={table}" for table in tables), "--file=-", str(file)]
            with _running(["env", "LC_ALL=C", reader, *options], stdout=subprocess.PIPE, stderr=errors) as archive:
                _fill(connection, tables, _lines(archive.stdout), progress)
                # Only now it is certain that the archive was whole. Leaving with an exception undoes everything.
                if archive.wait() != 0:
                    raise DatabaseError(f"{file} cannot be restored: {_first_error(errors)}")
        except _NotOurs as error:
            raise DatabaseError(f"{file} cannot be restored: {_first_error(errors) or error}") from None
        except (exc.DBAPIError, psycopg.Error) as error:
            raise DatabaseError(f"{file} cannot be restored: {_said(error)}") from error


class _NotOurs(Exception):
    """The archive's rows are not those of our tables."""


def _our_columns(connection: Connection) -> dict[str, set[str]]:
    """Return the columns of our tables as they are now, by the tables' names; a table comes after those that it refers to."""
    found = inspect(connection)
    existing = set(found.get_table_names())
    names = [table.name for table in Base.metadata.sorted_tables if table.name in existing]
    return {name: {column["name"] for column in found.get_columns(name)} for name in ("alembic_version", *names)}


def _fill(
    connection: Connection, tables: dict[str, set[str]], script: Iterator[bytes], progress: Callable[[int], None]
) -> None:
    """Fill our tables with the rows in a script of pg_restore; everything else in it is passed over."""
    # Our own triggers refuse rows that take the place of others, and the row with which a new chain begins is replaced.
    references = connection.execute(_REFERENCES, {"tables": list(tables)}).all()
    for table, name, _ in references:  # the archive has the tables in another order
        connection.exec_driver_sql(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    for table in tables:
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 (our names)
    missing = _copy_rows(connection, tables, script, progress)
    if missing:
        raise _NotOurs(f"it holds no rows of {next(iter(missing))}")
    for table, name, definition in references:
        connection.exec_driver_sql(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
    for table, names in tables.items():
        connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        if "id" in names:
            _set_sequence(connection, table)
    progress(100)


def _copy_rows(
    connection: Connection, tables: dict[str, set[str]], script: Iterator[bytes], progress: Callable[[int], None]
) -> dict[str, set[str]]:
    """Copy the rows in a script of pg_restore into our tables; return the tables that are not in it."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 (for the type checker)
    missing = dict(tables)
    with driver.cursor() as cursor:
        for line in script:
            if said := _ENCODING.fullmatch(line):
                cursor.execute("SELECT set_config('client_encoding', %s, true)", (said[1].decode(),))
            elif line.startswith(b"COPY "):
                table, columns = _beginning(line, missing)
                progress(100 * (len(tables) - len(missing)) // len(tables))
                del missing[table]
                statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
                    sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
                )
                with cursor.copy(statement) as copy:
                    for row in iter(lambda: next(script, _COPY_ENDS), _COPY_ENDS):
                        copy.write(row)
        cursor.execute("SELECT set_config('client_encoding', 'UTF8', true)")
    return missing


def _beginning(line: bytes, missing: dict[str, set[str]]) -> tuple[str, list[str]]:
    """Return the table and the columns of rows that begin."""
    found = _COPY.fullmatch(line)
    if found is None:
        raise _NotOurs("it holds rows that are not pg_dump's")
    table, columns = found[1].decode(), [name.strip('"') for name in found[2].decode().split(", ")]
    if table not in missing or set(columns) != missing[table] or len(columns) != len(missing[table]):
        raise _NotOurs(f"its rows of {table} are not those of smearcount's table")
    return table, columns


def _set_sequence(connection: Connection, table: str) -> None:
    """Let new rows get numbers that no row has; nothing to do for a table whose ids are not counted up."""
    connection.exec_driver_sql(
        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), GREATEST(MAX(id), 1), MAX(id) IS NOT NULL) FROM {table}"  # noqa: S608
    )


def _said(error: exc.DBAPIError | psycopg.Error) -> str:
    """Return what PostgreSQL says, with the first line of its details."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if not isinstance(cause, psycopg.Error) or cause.diag.message_primary is None:
        return (str(cause).splitlines() or [type(cause).__name__])[0]
    details = (cause.diag.message_detail or "").splitlines()[:1]
    return "; ".join([cause.diag.message_primary, *details])


def revision_in_file(file: Path) -> str | None:
    """Return the migration that the database in an archive is at; None if it is none of smearcount.

    Raises:
        DatabaseError: pg_restore is missing, or cannot read the archive.
    """
    script = _run(_program("pg_restore"), "--data-only", "--table=alembic_version", "--file=-", str(file))
    found = re.search(rb"^COPY \S*alembic_version .*;\n(\w+)$", script, re.MULTILINE)
    return found[1].decode() if found else None


def _program(name: str, database: Database | None = None) -> str:
    """Return the path of one of PostgreSQL's client programs.

    Args:
        name: of the program.
        database: the database with whose server it must get along; None for any.

    Raises:
        DatabaseUnavailable: the database does not answer.
        DatabaseError: there is no such program, or it is too old for the server; the message says what to do.
    """
    path = shutil.which(name)
    if path is None:
        raise DatabaseError(
            f"{name} was not found; install PostgreSQL's client programs (on Debian the package postgresql-client), or "
            "run the command where the database server is"
        )
    if database is None:
        return path
    with database.reading() as connection:
        server = int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000
    said = re.search(rb"\) (\d+)", _run(path, "--version"))
    if said is None or int(said[1]) < server:
        raise DatabaseError(
            f"{path} is of version {said[1].decode() if said else 'unknown'}, older than the server's {server}; install "
            f"PostgreSQL's client programs of version {server} and put their folder first in PATH"
        )
    return path


def _require_unused(database: Database) -> None:
    others = (
        select(func.count())
        .select_from(text("pg_stat_activity"))
        .where(
            text("datname = current_database() AND application_name = 'smearcount' AND pid <> pg_backend_pid()"),
        )
    )
    with database.reading() as connection:
        users = connection.execute(others).scalar_one()
    if users:
        raise DatabaseError(
            f"the database {database.shown} is in use ({users} connections of smearcount); "
            "end watchers, workers and web server on all machines, then restore"
        )


@contextmanager
def _address(database: Database) -> Iterator[str]:
    """Yield the database's address for PostgreSQL's programs, with the password in a file.

    On a command line, everybody on the machine could read the password.
    """
    url = database.url
    address = URL.create(
        "postgresql", username=url.username, host=url.host, port=url.port, database=url.database, query=url.query
    )
    with tempfile.TemporaryDirectory(prefix="smearcount-") as folder:
        if url.password is not None:
            passwords = Path(folder) / "pgpass"
            passwords.touch(0o600)
            escaped = str(url.password).replace("\\", "\\\\").replace(":", "\\:")
            passwords.write_text(f"*:*:*:*:{escaped}\n")
            address = address.update_query_dict({"passfile": str(passwords)})
        yield address.render_as_string(hide_password=False)


@contextmanager
def _running(
    command: list[str], *, stdin: int = subprocess.DEVNULL, stdout: int, stderr: int | IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program; it is killed when the context ends, in whatever way."""
    process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                _close(pipe)


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:  # the program has ended before it read everything, which the caller has noticed already
        return


def _run(program: str, *arguments: str) -> bytes:
    done = subprocess.run(["env", "LC_ALL=C", program, *arguments], check=False, capture_output=True)
    if done.returncode != 0:
        raise DatabaseError(f"{Path(program).name} failed: {_error_in(done.stderr)}")
    return done.stdout


def _lines(pipe: IO[bytes] | None) -> Iterator[bytes]:
    assert pipe is not None  # noqa: S101 (for the type checker)
    yield from pipe


def _first_error(errors: IO[bytes]) -> str:
    errors.seek(0)
    said = errors.read()
    return _error_in(said) if said else ""


def _error_in(said: bytes) -> str:
    text_said = said.decode(errors="replace").strip()
    found = re.search(r"\b(?:error|ERROR): +(.+)(?:\n.*DETAIL: +(.+))?", text_said)
    if found is None:
        lines = [line for line in text_said.splitlines() if " hint: " not in line]
        return lines[-1] if lines else "it says not why"
    return "; ".join(part for part in found.groups() if part)
