"""Output that the encoding lacks is escaped, and output that nobody takes is dropped or is an error of the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")

#: Runs a statement with the outputs guarded, as every command does.
_GUARDED = """
from smearcount.cli.views import outputs
from smearcount.cli.views.console import print_json, print_message, print_raw, print_result
outputs.guard_outputs()
"""

needs_full_device = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def run(code: str, *, encoding: str = "ascii", stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
    """Run statements in a process whose output has an encoding."""
    return subprocess.run(
        [sys.executable, "-c", _GUARDED + code],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        cwd=Path(__file__).parents[3],
    )


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "utf-8"])
def test_a_name_that_the_encoding_lacks_is_escaped_as_in_the_text_form(encoding: str) -> None:
    done = run("print_raw('Müller 検体'); print_message('Müller 検体'); print_result('検体')", encoding=encoding)

    assert done.returncode == 0, done.stderr
    umlaut = {"ascii": rb"\xc3\xbc", "iso-8859-1": b"\xfc", "utf-8": "ü".encode()}[encoding]
    kanji = "検体".encode() if encoding == "utf-8" else rb"\xe6\xa4\x9c\xe4\xbd\x93"
    assert done.stdout.splitlines() == [b"M" + umlaut + b"ller " + kanji, kanji]
    assert done.stderr.splitlines() == [b"M" + umlaut + b"ller " + kanji]


def test_json_is_the_same_document_whatever_the_encoding() -> None:
    document = {"slide": "Müller 検体 😀"}

    done = run(f"print_json({json.dumps(document, ensure_ascii=False)!r})")

    assert json.loads(done.stdout.decode("ascii")) == document


def test_bytes_of_a_name_that_is_no_utf_8_are_escaped() -> None:
    done = run(r"print_message('inbox \udcff\udc00')", encoding="utf-8")
    assert done.returncode == 0
    assert done.stderr == b"inbox \\xff\\xed\\xb0\\x80\n"


@needs_full_device
def test_a_message_that_cannot_be_written_is_dropped() -> None:
    code = "import sys; outputs.sys.stderr = open('/dev/full', 'w'); outputs.guard_outputs(); "
    done = run(code + "[print_message('lost') for _ in range(5000)]; print_raw('done')")

    assert (done.returncode, done.stdout) == (0, b"done\n")


@needs_full_device
def test_a_result_that_cannot_be_written_is_an_error() -> None:
    with FULL.open("w") as full:
        done = run("import sys; from smearcount.cli.main import main; sys.exit(main(['config']))", stdout=full.fileno())

    assert done.returncode == 1
    assert done.stderr == b"error: the output cannot be written: No space left on device\n"


@needs_full_device
def test_who_runs_on_drops_results_too_and_ends_with_its_own_code() -> None:
    with FULL.open("w") as full:
        done = run(
            "import sys; outputs.drop_lost_results(); [print_result('x' * 60) for _ in range(2000)]; sys.exit(130)",
            stdout=full.fileno(),
        )

    assert (done.returncode, done.stderr) == (130, b"")


def test_who_runs_on_outlives_the_reader_of_its_results() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run("import sys; outputs.drop_lost_results(); print_raw('lost'); sys.exit(3)", stdout=writing)
    os.close(writing)

    assert (done.returncode, done.stderr) == (3, b"")


def test_a_result_whose_reader_has_ended_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run("import sys; from smearcount.cli.main import main; sys.exit(main(['config']))", stdout=writing)
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, b"")
