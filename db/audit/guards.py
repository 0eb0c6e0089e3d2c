"""Triggers that let the tables of what people did only grow, whoever asks: also the owner, by mistake.

Who owns the tables can remove the triggers. On PostgreSQL the services log in as others (see `db.roles`); and whoever removes
or changes a row breaks the chain of hashes.
"""

from sqlalchemy import Connection, text

from smearcount.db.engine.database import Database

#: The function of PostgreSQL's triggers. An archive of single tables does not hold it, so restoring makes it first.
FUNCTION = "smearcount_append_only"

MAKE_FUNCTION = f"""
CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        RAISE EXCEPTION USING ERRCODE = 'restrict_violation',
            MESSAGE = 'a row of ' || TG_TABLE_NAME || ' needs a hash of the audit chain; upgrade this smearcount';
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'restrict_violation',
        MESSAGE = TG_TABLE_NAME || ' keeps what people did: rows are only added, never changed or removed';
END
$$
"""

#: The tables, and SQLite's conditions for a new row that would replace one that is there (INSERT OR REPLACE).
_TABLES = {
    "reviews": "EXISTS (SELECT 1 FROM reviews WHERE id = NEW.id) OR EXISTS "
    "(SELECT 1 FROM reviews WHERE undoes = NEW.undoes)",
    "slide_events": "EXISTS (SELECT 1 FROM slide_events WHERE id = NEW.id)",
}
#: The head of the chain is changed with every row, but never removed or set back.
_HEAD = "audit_chain"

_IN_SQLITE = text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
_IN_POSTGRESQL = text(
    "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
    " AND tgrelid IN (CAST('reviews' AS regclass), CAST('slide_events' AS regclass), CAST('audit_chain' AS regclass))"
)


def missing_guards(database: Database) -> list[str]:
    """Return the names of the triggers that a database of this version lacks, or that somebody has disabled."""
    with database.reading() as connection:
        return sorted(_missing(connection))


def restore_guards(database: Database) -> list[str]:
    """Make the triggers that a database of this version lacks, as the owner of its tables; return their names."""
    missing = missing_guards(database)
    if missing:
        with database.writing(durable=True) as connection:
            make_guards(connection)
    return missing


def make_guards(connection: Connection) -> None:
    """Make the triggers that are missing, in a writing transaction."""
    missing = _missing(connection)
    if missing and connection.dialect.name == "postgresql":
        connection.exec_driver_sql(MAKE_FUNCTION)
    for statement in missing.values():
        connection.exec_driver_sql(statement)


def _missing(connection: Connection) -> dict[str, str]:
    """Return the statements that make the missing triggers, by the triggers' names."""
    is_sqlite = connection.dialect.name == "sqlite"
    known = set(connection.execute(_IN_SQLITE if is_sqlite else _IN_POSTGRESQL).scalars())
    wanted = _sqlite() if is_sqlite else _postgresql()
    return {name: statement for name, statement in wanted.items() if name not in known}


def _sqlite() -> dict[str, str]:
    when: dict[str, tuple[str, str]] = {}
    for table, replaces in _TABLES.items():
        grows = f"{table} keeps what people did: rows are only added, never changed or removed"
        needs = f"a row of {table} needs a hash of the audit chain; upgrade this smearcount"
        when |= {
            f"{table}_not_changed": (f"UPDATE ON {table}", grows),
            f"{table}_not_removed": (f"DELETE ON {table}", grows),
            f"{table}_not_replaced": (f"INSERT ON {table} WHEN {replaces}", grows),
            f"{table}_hashed": (f"INSERT ON {table} WHEN NEW.chain_hash IS NULL", needs),
        }
    grows = f"{_HEAD} keeps what people did: rows are only added, never changed or removed"
    when |= {
        f"{_HEAD}_not_set_back": (f"UPDATE ON {_HEAD} WHEN NEW.position <= OLD.position", grows),
        f"{_HEAD}_not_removed": (f"DELETE ON {_HEAD}", grows),
        f"{_HEAD}_not_replaced": (f"INSERT ON {_HEAD} WHEN EXISTS (SELECT 1 FROM {_HEAD})", grows),  # noqa: S608 (our names)
    }
    return {
        name: f"CREATE TRIGGER {name} BEFORE {event} BEGIN SELECT RAISE(ABORT, '{says}'); END"
        for name, (event, says) in when.items()
    }


def _postgresql() -> dict[str, str]:
    when: dict[str, str] = {}
    for table in _TABLES:
        when |= {
            f"{table}_not_changed": f"UPDATE OR DELETE ON {table} FOR EACH ROW",
            f"{table}_not_emptied": f"TRUNCATE ON {table} FOR EACH STATEMENT",
            f"{table}_hashed": f"INSERT ON {table} FOR EACH ROW WHEN (NEW.chain_hash IS NULL)",
        }
    when |= {
        f"{_HEAD}_not_set_back": f"UPDATE ON {_HEAD} FOR EACH ROW WHEN (NEW.position <= OLD.position)",
        f"{_HEAD}_not_removed": f"DELETE ON {_HEAD} FOR EACH ROW",
        f"{_HEAD}_not_emptied": f"TRUNCATE ON {_HEAD} FOR EACH STATEMENT",
    }
    # OR REPLACE makes one that is disabled work again.
    return {
        name: f"CREATE OR REPLACE TRIGGER {name} BEFORE {event} EXECUTE FUNCTION {FUNCTION}()"
        for name, event in when.items()
    }
