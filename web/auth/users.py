"""The users file: names, roles and hashed passwords as JSON, which the command `web-user` writes."""

import json
import os
import re
import threading
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from smearcount.files.atomic import replace_file
from smearcount.web.errors import UsersInvalid

#: NIST SP 800-63B asks for at least 8 characters and for at least 64 to be allowed; very long ones only cost time.
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 256
#: Most characters of a name.
LONGEST_NAME = 80

#: How the names end under which programs' changes are kept.
_TOKEN_MARK = re.compile(r"\(token [0-9a-f]{8}\)$")

#: Lets two passwords be hashed at a time: each takes 64 MiB and several cores, and many at once would exhaust the machine.
_AT_ONCE = threading.BoundedSemaphore(2)


class Role(StrEnum):
    """What a person may do."""

    VIEWER = "viewer"  # may read everything
    REVIEWER = "reviewer"  # may also correct, comment and sign


class User(BaseModel):
    """A user as the file holds them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    #: Argon2id hash in its usual text form, with salt and cost.
    password: Annotated[str, Field(pattern=r"^\$argon2id\$")]


_USERS = TypeAdapter(dict[str, User])


@dataclass(frozen=True)
class _Version:
    mtime_ns: int
    size: int
    inode: int


class Users:
    """The users in a file, which is read again whenever it has changed, so that a change needs no restart."""

    def __init__(self, path: Path) -> None:
        """Keep the path; the file need not exist."""
        self.path = path
        self._lock = threading.Lock()
        self._read: tuple[_Version | None, Mapping[str, User]] = (None, {})

    def all(self) -> Mapping[str, User]:
        """Return the users by name; none if there is no file.

        Raises:
            UsersInvalid: the file cannot be read or is damaged.
        """
        with self._lock:
            version = self._version()
            if version is None:
                return {}
            if version != self._read[0]:
                self._read = (version, read_users(self.path))
            return self._read[1]

    def verified(self, name: str, password: str) -> User | None:
        """Return the user of this name if the password is right; an unknown name takes as long as a known one.

        Raises:
            UsersInvalid: the file cannot be read or is damaged.
        """
        user = self.all().get(name)
        with _AT_ONCE:
            is_right = _verify(user.password if user is not None else _nobodys_hash(), password)
        return user if is_right else None

    def set(self, name: str, role: Role, password: str) -> None:
        """Add a user, or replace role and password of an existing one.

        Raises:
            UsersInvalid: name or password are not possible, or the file cannot be read or written.
        """
        check_name(name)
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise UsersInvalid(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
        user = User(role=role, password=PasswordHasher().hash(password))
        self._write({**self.all(), name: user})

    def remove(self, name: str) -> None:
        """Remove a user; their sessions end.

        Raises:
            UsersInvalid: there is no such user, or the file cannot be read or written.
        """
        users = dict(self.all())
        if users.pop(name, None) is None:
            raise UsersInvalid(f"no user is named {name!r} in {self.path}")
        self._write(users)

    def _version(self) -> _Version | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsersInvalid(f"the users file {self.path} cannot be read: {error.strerror}") from None
        return _Version(status.st_mtime_ns, status.st_size, status.st_ino)

    def _write(self, users: Mapping[str, User]) -> None:
        text = json.dumps({name: user.model_dump(mode="json") for name, user in sorted(users.items())}, indent=2)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self.path, f"{text}\n".encode(), private=True, durable=True)
        except OSError as error:
            raise UsersInvalid(f"the users file {self.path} cannot be written: {error.strerror}") from None


def read_users(path: Path) -> dict[str, User]:
    """Read a users file.

    Raises:
        UsersInvalid: it cannot be read or is damaged.
    """
    try:
        return _USERS.validate_json(path.read_bytes())
    except OSError as error:
        raise UsersInvalid(f"the users file {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        # The message says where the file is damaged, but never repeats its content.
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the file"
        raise UsersInvalid(
            f"the users file {path} is damaged at {where}; restore it, or remove it and add the users anew with web-user"
        ) from None


def check_name(name: str) -> str:
    """Return a person's name if it is a possible one.

    Raises:
        UsersInvalid: the name is empty, too long, or holds characters that no name holds.
    """
    if not name or name != name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsersInvalid(f"a person's name has 1 to {LONGEST_NAME} printable characters, no space at either end")
    if _TOKEN_MARK.search(name):
        raise UsersInvalid("a person's name does not end like those of what programs do with a token")
    return name


def is_taken(name: str, users: Iterable[str]) -> bool:
    """Say whether a name is that of a user, or looks so much like one that people would take it for theirs."""
    wanted = _folded(name)
    return any(_folded(user) == wanted for user in users)


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _verify(hashed: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return PasswordHasher().hash(os.urandom(16).hex())
