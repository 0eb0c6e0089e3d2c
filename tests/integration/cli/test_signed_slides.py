"""What the commands make of a signed slide: `retry` leaves it alone unless told, and `counts` shows what was signed."""

import json
from pathlib import Path

import pytest

from smearcount.cli.main import main
from smearcount.db.engine.database import Database
from smearcount.db.ingest import journal, results
from smearcount.db.queries.slides import slide
from smearcount.db.records import Refusal, Refused
from smearcount.db.review.sign_off import slide_events
from smearcount.differential.classes import CellClass
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import Status

from support.journalling import MODEL, begin, seen, take
from support.reviewing import Bench, sign


@pytest.fixture
def bench(database: Database) -> Bench:
    """A complete slide S, signed, and a complete slide T; each has a file that could not be used."""
    bench = Bench(database)
    for name in "ST":
        bench.fill(name, [CellClass.NEUTROPHIL] * 3)
        journal.record(database, bench.inbox, [seen(f"{name}/broken.jpg")])
        (item,) = begin(database, take(database, bench.inbox))
        results.store(database, MODEL, "bench", [Refused(item.image_id, Refusal("damaged", "truncated"))])
    bench.complete()
    sign(database, bench.slide_id("S"), reviewer="Ada")
    return bench


class Shell:
    """Runs commands on the bench's database."""

    def __init__(self, database_url: str, data: Path, captured: pytest.CaptureFixture[str]) -> None:
        """Keep where the commands look."""
        self._where = ["--database", database_url, "--data", str(data)]
        self._captured = captured

    def run(self, *words: str) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error of a command."""
        code = main([*words, *self._where])
        out, err = self._captured.readouterr()
        return code, out, err


@pytest.fixture
def shell(database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(database_url, tmp_path / "of-the-command", capsys)


def status(bench: Bench, name: str) -> Status:
    return slide(bench.database, bench.slide_id(name)).status


def test_retry_skips_signed_slides_and_says_how_many(bench: Bench, shell: Shell) -> None:
    code, _, err = shell.run("retry")
    assert code == 0
    assert "1 quarantined image will be tried again" in err
    assert "1 signed slide left alone, with 1 quarantined image; --signed tries them too" in err
    assert (status(bench, "S"), status(bench, "T")) == (Status.SIGNED, Status.COUNTING)

    code, _, err = shell.run("retry", "S")
    assert code == 0
    assert "no quarantined images to try again" in err
    assert "1 signed slide left alone" in err
    assert status(bench, "S") is Status.SIGNED


@pytest.mark.parametrize(
    "words",
    [["--signed"], ["--signed", "--reviewer", "Ben"], ["--signed", "--reason", "why"], ["--reviewer", "Ben"]],
)
def test_retry_takes_no_signature_without_a_name_and_a_reason(bench: Bench, shell: Shell, words: list[str]) -> None:
    code, _, err = shell.run("retry", *words)
    assert code == 2
    assert "--reason" in err
    assert (status(bench, "S"), status(bench, "T")) == (Status.SIGNED, Status.COMPLETE)


def test_retry_reopens_signed_slides_by_name_and_with_a_reason(bench: Bench, shell: Shell) -> None:
    code, _, err = shell.run("retry", "--signed", "--reviewer", "Ben", "--reason", "the share was not readable")
    assert code == 0
    assert "2 quarantined images will be tried again" in err
    assert "1 signed slide reopened" in err
    *_, last = slide_events(bench.database, bench.slide_id("S"))
    assert (last.kind.value, last.reviewer, last.text) == ("reopen", "Ben", "the share was not readable")

    code, _, err = shell.run("retry", "--signed", "--reviewer", " ", "--reason", "why")
    assert code == 1
    assert "a reviewer's name has" in err


def test_counts_shows_what_was_signed(bench: Bench, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(name: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(shell.run("counts", name, "--format", "json")[1])
        return found

    before = {name: counted(name) for name in "ST"}
    monkeypatch.setenv("SMEARCOUNT_MINIMUM_WBC", "1")
    monkeypatch.setenv("SMEARCOUNT_REFERENCE_RANGES", '{"neutrophil": [1, 2]}')

    assert counted("S") == before["S"]
    assert counted("T") != before["T"]
    assert status(bench, "S") is Status.SIGNED


def test_the_list_shows_the_flags_that_were_signed(bench: Bench, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def flags() -> dict[str, list[str]]:
        _, out, _ = shell.run("slides", "--format", "json")
        return {line["slide"]: line["flags"] for line in json.loads(out)}

    monkeypatch.setenv("SMEARCOUNT_MINIMUM_WBC", "3")
    monkeypatch.setenv("SMEARCOUNT_REFERENCE_RANGES", '{"neutrophil": null}')
    now = flags()
    signed = [flag.code for flag in slide(bench.database, bench.slide_id("S")).flags(CountSettings())]
    assert now["S"] == signed
    assert "few-wbc" in signed
    assert "few-wbc" not in now["T"]
