"""SQL that is compiled once for all databases of a test process.

SQLAlchemy keeps what it has compiled per engine, and nearly every test opens an engine of its own.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any

from sqlalchemy import Engine, create_engine

_Key = tuple[Any, ...]

#: Keep so many statements. The tests of a process have some hundred; hypothesis makes more.
_AT_MOST = 2000


class CompiledStatements(MutableMapping[_Key, Any]):
    """Compiled statements by SQLAlchemy's keys, which begin with the dialect; here, those of one kind are the same."""

    def __init__(self) -> None:
        """Begin without any."""
        self._compiled: dict[_Key, Any] = {}

    def __getitem__(self, key: _Key) -> Any:
        return self._compiled[_of_kind(key)]

    def __setitem__(self, key: _Key, compiled: Any) -> None:
        if len(self._compiled) >= _AT_MOST:
            self._compiled.clear()
        self._compiled[_of_kind(key)] = compiled

    def __delitem__(self, key: _Key) -> None:
        del self._compiled[_of_kind(key)]

    def __iter__(self) -> Iterator[_Key]:
        return iter(self._compiled)

    def __len__(self) -> int:
        return len(self._compiled)


def _of_kind(key: _Key) -> _Key:
    return (type(key[0]), *key[1:])


_STATEMENTS = CompiledStatements()


def create_sharing_engine(*arguments: Any, **settings: Any) -> Engine:
    """Create an engine as SQLAlchemy's `create_engine` does, but one that uses what all the others have compiled."""
    engine = create_engine(*arguments, **settings)
    engine._compiled_cache = _STATEMENTS
    return engine
