"""One run: a stream of images on its own stage, a fault that is injected again and again, and the result."""

import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from faults.account import Pulse, Standing, account, standing
from faults.faults import Fault
from faults.stage import Stage
from faults.stream import CellFile, Dropping
from faults.verdict import Account, Findings, Injection, Row, catching_up, compare, recovery
from faults.waiting import Trouble, until
from support.servers import ServerCannotStart

#: Images per second: a run of 5,000 takes half a minute, and a small machine catches up between two faults.
IMAGES_PER_SECOND = 200
#: How long a run may take after the last image has come, in seconds.
PATIENCE_SECONDS = 300.0
_FIRST_RESULT_SECONDS = 300.0
#: Images that are dropped at once, before the stream.
_FIRST_IMAGES = 20


@dataclass(frozen=True)
class Campaign:
    """The images, the seed and the folder of findings, which all runs share."""

    files: Sequence[CellFile]
    seed: int
    #: Folder for the logs of failed runs; None to keep none.
    findings: Path | None = None

    def run(self, fault: Fault, undisturbed: Account | None = None) -> tuple[Row, Account | None]:
        """Run once; return the line of the table and what the database held, None where the run did not end.

        Args:
            fault: The fault to inject.
            undisturbed: The account to compare with; None to compare with nothing.
        """
        lacks = fault.wiring.lacks()
        if lacks is not None:
            return Row(fault.name, fault.what, lacks=lacks), None
        with tempfile.TemporaryDirectory(prefix="smearcount-faults-") as folder:
            run = _Run(fault, self.files, self.seed, Path(folder) / "run")
            try:
                run.carry_out()
            except (Trouble, ServerCannotStart) as error:
                run.trouble = str(error)
            found = run.account
            row = run.row(undisturbed or found)
            if not row.passed and self.findings is not None:
                _keep_logs(run.folder / "logs", self.findings / fault.name, row)
        return row, found


class _Run:
    def __init__(self, fault: Fault, files: Sequence[CellFile], seed: int, folder: Path) -> None:
        self.folder = folder
        self._fault = fault
        self._files = files
        self._seed = seed
        self._chance = random.Random(f"{seed} {fault.name}")
        self._injections: list[Injection] = []
        self._poison: frozenset[str] = frozenset()
        self._seconds = 0.0
        self._pulse: Pulse | None = None
        #: What the database held in the end; None if it could not be read.
        self.account: Account | None = None
        #: Why the run did not end; None if it did.
        self.trouble: str | None = None

    def carry_out(self) -> None:
        """Run the stream and inject the faults.

        Raises:
            Trouble: The run did not end in time.
            ServerCannotStart: A server did not start, at the beginning or after a fault.
        """
        with Stage(self.folder, self._fault.wiring, seed=self._seed) as stage, Pulse(stage.database_url) as pulse:
            self._pulse = pulse
            began_at = time.monotonic()
            # Begin the stream when everything works: on a busy machine it would end before there is anything to disturb.
            for file in self._files[:_FIRST_IMAGES]:
                file.drop(stage.inbox)
            until(lambda: any(beat.last_result for beat in pulse.beats), _FIRST_RESULT_SECONDS, what="the first result")
            with Dropping(self._files[_FIRST_IMAGES:], stage.inbox, per_second=IMAGES_PER_SECOND) as dropping:
                self._disturb(stage, pulse, dropping)
                until(dropping.is_done, dropping.seconds + _FIRST_RESULT_SECONDS, what="all images to be dropped")
            self._poison = frozenset(stage.poison)
            try:
                self._await_end(stage)
            finally:
                self._seconds = time.monotonic() - began_at
                self.account = account(stage.database_url)

    def row(self, undisturbed: Account | None) -> Row:
        """Return the line of the table, compared with an undisturbed run."""
        beats = self._pulse.beats if self._pulse else []
        found, trouble = self.account, self.trouble
        if trouble is None and self._fault.times and not self._injections:
            trouble = "no fault came in time to disturb anything"
        return Row(
            self._fault.name,
            self._fault.what,
            times=len(self._injections),
            images=len(self._files),
            findings=compare(undisturbed, found, self._poison) if found and undisturbed else Findings(),
            recovery=recovery(self._injections, beats),
            catching_up=catching_up(self._injections, beats),
            seconds=self._seconds,
            trouble=trouble,
        )

    def _disturb(self, stage: Stage, pulse: Pulse, dropping: Dropping) -> None:
        began_at = time.monotonic()
        for moment in self._moments(dropping.seconds):
            stage.hold(max(began_at + moment - time.monotonic(), 0.2))
            if dropping.is_done():
                return  # the stream is over
            self._fault.inject(stage, self._chance)
            ended_at = time.monotonic()
            self._injections.append(Injection(ended_at, pulse.now()))

    def _moments(self, seconds: float) -> Iterator[float]:
        """Yield when to inject, in seconds from the stream's beginning: at random, neither all at once nor at the very end."""
        times = self._fault.times
        for number in range(times):
            yield (number + self._chance.random()) / times * seconds * 0.85

    def _await_end(self, stage: Stage) -> None:
        last = Standing(0, 0, 0, 0)

        def is_over() -> bool:
            nonlocal last
            last = standing(stage.database_url)
            return last == Standing(len(self._files), 0, len(stage.poison), 0)

        until(is_over, PATIENCE_SECONDS, what=lambda: f"the end; there is {last}", pause=0.25)


def _keep_logs(logs: Path, kept: Path, row: Row) -> None:
    shutil.rmtree(kept, ignore_errors=True)
    if logs.exists():
        shutil.copytree(logs, kept)
    kept.mkdir(parents=True, exist_ok=True)
    lines = [f"trouble: {row.trouble}", *(f"lost: {path}" for path in row.findings.lost), *row.findings.different]
    (kept / "findings.txt").write_text("\n".join(lines) + "\n")
