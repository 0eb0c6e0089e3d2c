"""Dumping a PostgreSQL database into an archive of pg_dump, and restoring it, with PostgreSQL's own client programs.

Only smearcount's tables and views are dumped and replaced: a laboratory may keep other tables in the same database.
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

from sqlalchemy import func, inspect, select, text
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

_COPY_BEGINS, _COPY_ENDS = b"COPY ", b"\\.\n"


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


def restore(database: Database, file: Path, progress: Callable[[int], None]) -> None:
    """Replace smearcount's tables and views by those in an archive, all of them or nothing.

    Raises:
        DatabaseUnavailable: the database does not answer.
        DatabaseError: a process uses the database, the programs are missing, or the archive cannot be read or restored.
    """
    reader, writer = _program("pg_restore", database), _program("psql", database)
    _require_unused(database)
    listed = _run(reader, "--list", str(file))
    tables = max(listed.count(b" TABLE DATA "), 1)
    prepared = _DROP
    # An archive of the whole database holds the function of the triggers, one of our tables alone does not.
    if f" {guards.FUNCTION}() ".encode() not in listed:
        prepared += f"{guards.MAKE_FUNCTION};\n"
    options = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--single-transaction", "--file=-"]
    with (
        _address(database) as address,
        tempfile.TemporaryFile() as errors,
        _running(
            ["env", "LC_ALL=C", reader, "--no-owner", "--no-privileges", "--file=-", str(file)],
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as archive,
        _running(
            ["env", "LC_ALL=C", writer, *options, f"--dbname={address}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        ) as session,
    ):
        assert session.stdin is not None  # noqa: S101 (for the type checker)
        try:
            session.stdin.write(prepared.encode())
            for done, line in _tables_begun(_lines(archive.stdout)):
                session.stdin.write(line)
                progress(100 * done // tables)
            # Only now it is certain that the archive was whole. If the session is killed before its end, it undoes everything.
            is_whole = archive.wait() == 0
            if is_whole:
                session.stdin.close()
            is_restored = is_whole and session.wait() == 0
        except BrokenPipeError:
            session.wait()
            is_restored = False
        if not is_restored:
            raise DatabaseError(f"{file} cannot be restored: {_first_error(errors)}")


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


def _tables_begun(script: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a script of pg_restore, each with the number of tables whose rows are complete before it."""
    done, is_copying = 0, False
    for line in script:
        yield done, line
        if is_copying and line == _COPY_ENDS:
            done, is_copying = done + 1, False
        elif not is_copying:
            is_copying = line.startswith(_COPY_BEGINS)


def _first_error(errors: IO[bytes]) -> str:
    errors.seek(0)
    return _error_in(errors.read())


def _error_in(said: bytes) -> str:
    text_said = said.decode(errors="replace").strip()
    found = re.search(r"\b(?:error|ERROR): +(.+)(?:\n.*DETAIL: +(.+))?", text_said)
    if found is None:
        lines = [line for line in text_said.splitlines() if " hint: " not in line]
        return lines[-1] if lines else "it says not why"
    return "; ".join(part for part in found.groups() if part)
