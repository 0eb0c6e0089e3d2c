r"""File names as text that every database, table and log can hold, and back.

A file name is a string of bytes: it may hold a line break, text direction marks, or bytes that are no UTF-8 at all.
PostgreSQL refuses the latter, and the former make a table unreadable. So such bytes are written as \xNN and a backslash
as \\; everything else stays as it is, and the name on disk can always be had back.
"""

import os
import re
import unicodedata

#: Categories of Unicode that show nothing, or change how the text around them is shown.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ESCAPED = re.compile(rb"\\(?:x([0-9a-f]{2})|\\)")


def to_text(name: str) -> str:
    r"""Return a file name (as `os` functions give it) in storable form, without invisible characters."""
    if name.isascii() and name.isprintable() and "\\" not in name:
        return name  # nearly every name there is
    text = os.fsencode(name).decode("utf-8", "surrogateescape")
    return "".join(_character(character) for character in text)


def from_text(text: str) -> str:
    r"""Return the file name, for use with `os` functions, that `to_text` made `text` from."""
    raw = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else b"\\", text.encode())
    return os.fsdecode(raw)


def joined(folder: str, filename: str) -> str:
    """Return the path within the inbox of a file; "" is the inbox itself."""
    return f"{folder}/{filename}" if folder else filename


def _character(character: str) -> str:
    if character == "\\":
        return r"\\"
    if unicodedata.category(character) in _INVISIBLE:
        return "".join(rf"\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
    return character
