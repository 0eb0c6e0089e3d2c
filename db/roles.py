"""PostgreSQL's roles: each part logs in as somebody who may do what it needs; nobody but the owner may change what people did.

The owner of the tables upgrades, backs up and restores them. Watchers, workers and senders have the rights of the role
`smearcount_worker`, the web server those of `smearcount_web`, and who only reads those of `smearcount_reader`; each logs in
as its role or as a member of it. Roles belong to the whole server: several databases share them, and each grants its own
rights to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, exc, inspect, text
from sqlalchemy.engine import make_url

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.schema import (
    VIEWS,
    AuditChainRow,
    Base,
    DeliveryRow,
    Image,
    OutboxRow,
    ReviewRow,
    Slide,
    SlideEventRow,
)


class Role(StrEnum):
    """Who has which rights."""

    WEB = "smearcount_web"
    WORKER = "smearcount_worker"
    READER = "smearcount_reader"


#: Key of the PostgreSQL lock that a process holds while it migrates or grants; any number that nothing else uses.
UPGRADE_LOCK = 0x736D6561

#: What people did: rows are added, and never changed or removed.
_APPENDED = {ReviewRow.__tablename__, SlideEventRow.__tablename__}
#: What everybody who writes adds to, and nobody changes.
_ADDED = {*_APPENDED, OutboxRow.__tablename__}
#: What the web server changes: it locks slides and images while somebody reviews, and people decide about messages.
_CHANGED_BY_WEB = {Slide.__tablename__, Image.__tablename__, DeliveryRow.__tablename__}
_REVISION = "alembic_version"


@dataclass(frozen=True)
class Rights:
    """What this login and the roles of its server are like."""

    #: Name of the login.
    user: str
    #: Whether it may change or remove what people did.
    may_change: bool
    #: The roles that the server lacks.
    missing: tuple[Role, ...]

    @property
    def remedy(self) -> str:
        """The SQL statements that an administrator of the server must run before `smearcount migrate`; may be empty."""
        return " ".join(f"CREATE ROLE {role} LOGIN PASSWORD '...';" for role in self.missing)


def rights(database: Database) -> Rights | None:
    """Return what the login of a database may do; None for SQLite, which knows no logins."""
    with database.reading() as connection:
        if connection.dialect.name != "postgresql":
            return None
        asked = "SELECT current_user, " + " OR ".join(
            f"has_table_privilege('{table}', '{right}')"
            for table in sorted(_APPENDED)
            for right in ("UPDATE", "DELETE", "TRUNCATE")
        )
        user, may_change = connection.execute(text(asked)).one()
        return Rights(user, may_change, tuple(_missing(connection)))


def arrange(database: Database, logins: Sequence[tuple[Role, str]] = ()) -> list[str]:
    """Make and grant the roles of a current database anew, and let users log in with their rights.

    Args:
        database: as the owner of its tables.
        logins: roles, each with the URL by which a user will open the database.

    Returns:
        The names of these users.

    Raises:
        DatabaseUnavailable: the database does not answer.
        DatabaseError: this login is not the owner or may not do it, a URL names no user or no password, or the database is
            none of PostgreSQL.
    """
    if database.file is not None and not logins:
        return []
    with database.writing(durable=True) as connection:
        if connection.dialect.name == "postgresql":
            require_owner(connection)
        grant(connection)
        return [_let_in(connection, role, url) for role, url in logins]


def require_owner(connection: Connection) -> None:
    """Check that this login of a PostgreSQL database may change its tables, if there are any.

    Raises:
        DatabaseError: it may not; the message names who may.
    """
    owner = connection.execute(
        text("SELECT tableowner FROM pg_tables WHERE tablename = 'alembic_version' AND schemaname = current_schema()"
             " AND NOT pg_has_role(tableowner, 'MEMBER')")
    ).scalar_one_or_none()  # fmt: skip
    if owner is not None:
        raise DatabaseError(
            f"the database must be upgraded by the owner of its tables, {owner}: run `smearcount migrate` with that login"
        )


def grant(connection: Connection) -> None:
    """Make the roles that the server lacks, if this login may make roles, and grant each its rights.

    Rights that were granted before stay. On SQLite this does nothing.

    Args:
        connection: of a writing transaction, as the owner of the tables, which exist.
    """
    if connection.dialect.name != "postgresql":
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
    missing = _missing(connection)
    may_make = connection.execute(
        text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    ).scalar_one()
    if may_make:
        for role in missing:
            # Another database of the server may be making it at this moment.
            connection.execute(
                text(
                    f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; "
                    "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
                )
            )
    present = set(Role) - (set() if may_make else set(missing))
    found = inspect(connection)
    tables = set(found.get_table_names()) & {*Base.metadata.tables, _REVISION}
    views = set(found.get_view_names()) & set(VIEWS)
    for role in sorted(present):
        _grant_schema(connection, role)
        for name in sorted(tables | views):
            allowed = _allowed(role, name, is_view=name in views)
            connection.execute(text(f"GRANT {', '.join(allowed)} ON {name} TO {role}"))
            if "INSERT" in allowed:
                _grant_sequence(connection, name, role)


def _let_in(connection: Connection, role: Role, url: str) -> str:
    """Let the user that a URL names log in with its password, and have the rights of a role; return the user's name."""
    if connection.dialect.name != "postgresql":
        raise DatabaseError("a SQLite database knows no logins; leave out --login")
    import psycopg  # noqa: PLC0415 (who uses SQLite need not load it)
    from psycopg import sql  # noqa: PLC0415

    try:
        parsed = make_url(url.strip())
    except exc.ArgumentError:
        parsed = None
    if parsed is None or not parsed.username or not parsed.password:
        raise DatabaseError("a URL for --login names a user and a password: postgresql://user:secret@host/smearcount")
    user, password = parsed.username, str(parsed.password)
    if connection.execute(text("SELECT current_user")).scalar_one() == user:
        raise DatabaseError(f"{user} is the owner of the tables; a service should log in as somebody else")
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 (for the type checker)
    # So the server, and its log, see no password.
    verifier = driver.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()
    name = sql.Identifier(user)
    known = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :user"), {"user": user}).first()
    made = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}")
    statements = [made.format(name, sql.Literal(verifier))]
    if user != role:
        statements.append(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name))
    for statement in statements:
        connection.exec_driver_sql(statement.as_string(driver).replace("%", "%%"))
    return user


def _missing(connection: Connection) -> list[Role]:
    known = connection.execute(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'smearcount%'")).scalars().all()
    return [role for role in Role if role not in known]


def _allowed(role: Role, name: str, *, is_view: bool) -> Sequence[str]:
    if is_view or name == _REVISION or role is Role.READER:
        return ("SELECT",)
    if name in _ADDED:
        return ("SELECT", "INSERT")
    if name == AuditChainRow.__tablename__:
        return ("SELECT", "UPDATE")
    if role is Role.WORKER:
        return ("SELECT", "INSERT", "UPDATE")
    return ("SELECT", "UPDATE") if name in _CHANGED_BY_WEB else ("SELECT",)


def _grant_schema(connection: Connection, role: Role) -> None:
    """Grant the right to look into the schema, where a site has taken it from everybody or the schema is its own."""
    found = connection.execute(
        text("SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname = current_schema()"
             " AND NOT has_schema_privilege(:role, oid, 'USAGE') AND pg_has_role(nspowner, 'MEMBER')"), {"role": role},
    ).scalar_one_or_none()  # fmt: skip
    if found is not None:
        connection.execute(text(f"GRANT USAGE ON SCHEMA {found} TO {role}"))


def _grant_sequence(connection: Connection, table: str, role: Role) -> None:
    """Grant the right to number new rows, if the database numbers them."""
    found = connection.execute(
        text("SELECT pg_get_serial_sequence(:table, a.attname) FROM pg_attribute AS a "
             "WHERE a.attrelid = CAST(:table AS regclass) AND a.attname = 'id'"), {"table": table},
    ).scalar_one_or_none()  # fmt: skip
    if found is not None:
        connection.execute(text(f"GRANT USAGE ON SEQUENCE {found} TO {role}"))
