r"""The text form of file names, which every database, table and log can hold, and the way back.

A file name is a string of bytes. It may hold line breaks and text direction marks, which make a table unreadable, or bytes
that are no UTF-8, which PostgreSQL refuses. The text form writes such bytes as \xNN and a backslash as \\. Everything else
stays as it is, so `from_text` can always restore the name on disk.
"""

import os
import re
import unicodedata

#: Unicode categories of characters that show nothing or change how the text around them is shown.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ESCAPED = re.compile(rb"\\(?:x([0-9a-f]{2})|\\)")


def to_text(name: str) -> str:
    r"""Return the text form of a file name or path, as `os` functions give it; it has no invisible characters."""
    if name.isascii() and name.isprintable() and "\\" not in name:
        return name  # nearly every name is like this
    text = os.fsencode(name).decode("utf-8", "surrogateescape")
    return "".join(_character(character) for character in text)


def from_text(text: str) -> str:
    r"""Return the file name or path, for use with `os` functions, from which `to_text` made `text`."""
    raw = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else b"\\", text.encode())
    return os.fsdecode(raw)


def joined(folder: str, filename: str) -> str:
    """Return the path of a file within the inbox; the folder "" is the inbox itself."""
    return f"{folder}/{filename}" if folder else filename


def _character(character: str) -> str:
    if character == "\\":
        return r"\\"
    if unicodedata.category(character) in _INVISIBLE:
        return "".join(rf"\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
    return character
