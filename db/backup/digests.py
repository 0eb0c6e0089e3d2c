"""A backup's digest, keyed with the site's secret: who does not know the secret cannot make a backup that passes for the site's.

It lies beside the backup, as `<name>.hmac`, so that the backup itself stays a file for the database's own tools.
"""

import hashlib
import hmac
from pathlib import Path

from smearcount.db.errors import DatabaseError
from smearcount.files.atomic import replace_file

_KIND = "hmac-sha256"


def digest_file(file: Path) -> Path:
    """Return where the digest of a backup lies."""
    return file.with_name(f"{file.name}.hmac")


def write_digest(file: Path, secret: str) -> None:
    """Write a backup's digest beside it; without a secret, remove that of an earlier backup of this name.

    Raises:
        DatabaseError: it cannot be written.
    """
    place = digest_file(file)
    try:
        if secret:
            replace_file(place, f"{_KIND} {_digest(file, secret)}\n".encode(), private=True, durable=True)
        else:
            place.unlink(missing_ok=True)
    except OSError as error:
        raise DatabaseError(f"the backup's digest {place} cannot be written: {error.strerror}") from error


def check_digest(file: Path, secret: str, *, may_lack: bool = False) -> None:
    """Check that somebody who knows the secret has made a backup; without a secret, everything passes.

    Args:
        file: the backup.
        secret: the site's; empty: none.
        may_lack: whether a backup without a digest is taken as well.

    Raises:
        DatabaseError: it was not made with this secret, or was changed since, or carries no digest.
    """
    if not secret:
        return
    place = digest_file(file)
    try:
        said = place.read_text(encoding="ascii", errors="replace").strip()
        found = f"{_KIND} {_digest(file, secret)}"
    except FileNotFoundError:
        if may_lack and file.exists():
            return
        raise DatabaseError(
            f"the backup {file} carries no digest ({place.name} beside it), so nobody knows who made it; put the digest "
            "there, or, if you know where the file comes from, give --without-digest"
        ) from None
    except OSError as error:
        raise DatabaseError(f"the backup {file} cannot be read: {error.strerror}") from error
    if not hmac.compare_digest(said.encode(), found.encode()):
        raise DatabaseError(
            f"the backup {file} does not belong to its digest: it was changed, or made with another "
            "SMEARCOUNT_BACKUP_SECRET; take another backup"
        )


def _digest(file: Path, secret: str) -> str:
    keyed = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    with file.open("rb") as opened:
        while part := opened.read(1 << 20):
            keyed.update(part)
    return keyed.hexdigest()
