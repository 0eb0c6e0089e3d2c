"""Keeps what native libraries write to stderr of their own affairs from standing between a command's own lines."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

#: How the lines begin that LiteRT and TensorFlow write on every start and every conversion, with no switch to stop them:
#: greetings and notes at the levels "info" and "warning" of their loggers.
_CHATTER = (
    b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    b"WARNING:absl:Please consider providing the trackable_obj argument",
    b"To enable the following instructions:",
    b"fully_quantize:",
    b"I0000 00:00:",
    b"W0000 00:00:",
)
#: What TensorFlow says, as an error, wherever there is no GPU.
_NO_GPU = b"failed call to cuInit"


@contextmanager
def without_chatter() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, and pass on afterwards all but the libraries' chatter.

    Native code knows no other stderr than the file descriptor, so this is for moments in which nothing else is said: while a
    library is loaded, while a network is converted.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # no stderr at all: nothing to keep clean
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
            rest = b"".join(line for line in aside if not line.startswith(_CHATTER) and _NO_GPU not in line)
            if rest:
                os.write(2, rest)
