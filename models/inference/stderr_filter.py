"""Keeps the notes that native libraries write to stderr out of a command's own messages."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

#: Beginnings of lines that LiteRT and TensorFlow write on every start and every conversion, and that no switch turns off:
#: notes of their loggers at the levels "info" and "warning".
_NOTES = (
    b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    b"WARNING:absl:Please consider providing the trackable_obj argument",
    b"To enable the following instructions:",
    b"fully_quantize:",
    b"I0000 00:00:",
    b"W0000 00:00:",
)
#: TensorFlow reports this as an error wherever there is no GPU.
_NO_GPU = b"failed call to cuInit"


@contextmanager
def filtered_stderr() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, and pass it on afterwards without the libraries' notes.

    Native code writes to the file descriptor directly, so other threads' lines are held back as well. Use it for short
    moments only, in which nothing else is reported: while a library is loaded or a network is converted.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # there is no stderr, so there is nothing to filter
        yield
        return
    with tempfile.TemporaryFile() as aside:
        sys.stderr.flush()
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            aside.seek(0)
            rest = b"".join(line for line in aside if not line.startswith(_NOTES) and _NO_GPU not in line)
            if rest:
                os.write(2, rest)
