"""Whether the file of a SQLite database is whole."""

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError


def damage(database: Database) -> str | None:
    """Return what is wrong with the file of a SQLite database; None if it is whole, or if the database has no file of ours.

    SQLite reads the whole file: a second for each gigabyte or so.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    if database.file is None or not database.file.exists():
        return None
    if not database.file.stat().st_size:
        return "the file is empty"
    try:
        with database.reading() as connection:
            found: str = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    except DatabaseError as error:
        if error.__cause__ is None or ("malformed" not in str(error) and "not a database" not in str(error)):
            raise
        return str(error)
    # It begins with a line that names the table by its number.
    return None if found == "ok" else found.splitlines()[-1]
