r"""Standard output and standard error that no slide's name, full disk or closed terminal can break.

What the encoding of a terminal lacks is written as `\xNN`, byte by byte of UTF-8, as in the text form of file names. Messages
that cannot be written are dropped; so are the results of commands that run on, such as `up`, whose work does not depend on
whether somebody reads what they print.
"""

import codecs
import io
import os
import sys
from typing import Final, TextIO

_ESCAPED: Final = "smearcount-escaped"
_JSON: Final = "smearcount-json"


def guard_outputs() -> None:
    """Let standard output and standard error write every character, and standard error drop what cannot be written."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_ESCAPED)
    sys.stderr = _dropping(sys.stderr)


def drop_lost_results() -> None:
    """Let standard output, too, drop what cannot be written, for the rest of this process."""
    sys.stdout = _dropping(sys.stdout)


def in_encoding(text: str) -> str:
    r"""Return a JSON text with what the encoding of standard output lacks as `\uNNNN`."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, _JSON).decode(encoding)


class _Dropping(io.RawIOBase):
    """Writes to an open file, and takes what it refuses for written."""

    def __init__(self, number: int) -> None:
        self._number = number

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]
        try:
            return os.write(self._number, data)
        except OSError:
            return len(data)


def _dropping(stream: TextIO) -> TextIO:
    """Return a stream that writes where another one does, and never fails; that one itself if it is no open file."""
    if not isinstance(stream, io.TextIOWrapper) or stream.closed or not _is_file(stream):
        return stream
    raw = io.BufferedWriter(_Dropping(stream.fileno()))  # type: ignore[type-var]
    is_at_once = stream.line_buffering or stream.write_through
    return io.TextIOWrapper(raw, encoding=stream.encoding, errors=_ESCAPED, line_buffering=is_at_once)


def _is_file(stream: io.TextIOWrapper) -> bool:
    """Say whether a stream writes to an open file, and not into memory nor through `_Dropping`."""
    buffer: object = stream.buffer
    return isinstance(buffer.raw if isinstance(buffer, io.BufferedWriter) else buffer, io.FileIO)


def _escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 (it is registered for encoding alone)
    raw = "".join(
        f"\\x{byte:02x}"
        for character in error.object[error.start : error.end]
        for byte in character.encode("utf-8", "surrogateescape" if _is_byte(character) else "surrogatepass")
    )
    return raw, error.end


def _escape_in_json(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 (it is registered for encoding alone)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)), error.end


def _is_byte(character: str) -> bool:
    """Say whether a character stands for a byte that is no UTF-8."""
    return "\udc80" <= character <= "\udcff"


codecs.register_error(_ESCAPED, _escape)
codecs.register_error(_JSON, _escape_in_json)
