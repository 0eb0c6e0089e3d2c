"""A laboratory that signs, reopens, corrects and withdraws, with a real sender and a receiver; and what must have come."""

import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import select

from smearcount.cli.local import processes
from smearcount.db.delivery.destinations import destination_health, register
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.migration import migrate
from smearcount.db.review import sign_off, withdrawal
from smearcount.db.review.errors import ReviewRefused
from smearcount.db.schema import OutboxRow

from faults.waiting import until
from support.receiving.archive import add_slides, sign_all
from support.receiving.mllp import Lis, Received, acknowledgement
from support.running import Smearcount
from support.servers import PostgresqlServer

#: Seconds that the sender waits for an answer here, so that a run need not.
ANSWER_SECONDS = 2
#: Seconds until a part that ended is started again.
_RESTART_SECONDS = 1.0
PATIENCE_SECONDS = 300.0

#: What a receiver must be told of each event, by what happened before: a slide that was signed before is corrected.
_TOLD = {"reopen": "R", "withdraw": "X"}


@dataclass(frozen=True)
class Findings:
    """What is wrong with what came; empty if nothing is."""

    lost: int = 0
    #: Messages of one event under two control ids, or different ones under the same.
    twice: int = 0
    #: Slides whose messages came in another order.
    disordered: int = 0


@dataclass
class Laboratory:
    """Everything that one run needs; the context ends it."""

    folder: Path
    #: A running PostgreSQL, which all runs share.
    server: PostgresqlServer
    slides: int
    seed: int
    #: How many senders run at the same time.
    wanted: int = 1
    senders: list[subprocess.Popen[bytes]] = field(default_factory=list)
    is_over: bool = False

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        self.chance = random.Random(self.seed)
        self.url = self.server.create(f"laboratory_{uuid.uuid4().hex[:12]}")
        self.database = Database(self.url)
        migrate(self.database)
        self.lis = Lis()
        self.lis.start()
        self.ids = add_slides(self.database, self.slides)
        register(self.database, {"lis": None})
        self._command = Smearcount(
            self.folder / "data",
            {
                "SMEARCOUNT_DATABASE_URL": self.url,
                "SMEARCOUNT_DESTINATIONS": f'{{"lis": {{"url": "{self.lis.url}", "timeout": {ANSWER_SECONDS}}}}}',
                "SMEARCOUNT_DELIVER_PAUSE_SECONDS": "2",
            },
        )
        self.start_sender()
        self._keeper = threading.Thread(target=self._keep)
        self._keeper.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None) -> None:
        self.is_over = True
        self._keeper.join()
        for sender in self.senders:
            sender.kill()
            sender.wait()
        self.lis.stop()
        self.database.close()

    def start_sender(self) -> None:
        """Start `smearcount deliver`."""
        log = self.folder / f"deliver-{len(self.senders)}-{time.monotonic_ns()}.log"
        command = [sys.executable, "-P", "-m", "smearcount.cli.main", "deliver"]
        self.senders.append(processes.start(command, log=log, environment=self._command.all_environment()))

    def running(self) -> list[subprocess.Popen[bytes]]:
        """Return the senders that run."""
        return [sender for sender in self.senders if sender.poll() is None]

    def _keep(self) -> None:
        """Start senders that ended again, as systemd does."""
        while not self.is_over:
            missing = self.wanted - len(self.running())
            if missing > 0:
                time.sleep(_RESTART_SECONDS)
                for _ in range(missing):
                    self.start_sender()
            time.sleep(0.05)

    def hit_sender(self, how: signal.Signals) -> None:
        """Send a signal to a sender that is running."""
        running = self.running()
        if running:
            self.chance.choice(running).send_signal(how)

    def work(self, per_second: float) -> None:
        """Do what people do, steadily, until every slide was signed; who cannot reach the database tries again."""
        acts: list[tuple[int, str]] = []
        for one in self.ids:
            acts.append((one, "sign"))
            if self.chance.random() < 0.3:
                acts += [(one, "reopen"), (one, "sign")]
            if self.chance.random() < 0.1:
                acts.append((one, "withdraw"))
        # Slides mix, but what happens to one keeps its order.
        keyed = [(self.chance.random() + number / len(acts), act) for number, act in enumerate(acts)]
        order = {one: [act for act in acts if act[0] == one] for one in self.ids}
        for _, (one, _act) in sorted(keyed):
            self._do(order[one].pop(0))
            time.sleep(1 / per_second)

    def _do(self, act: tuple[int, str]) -> None:
        one, what = act
        while True:
            try:
                if what == "sign":
                    if not self._is_signed(one):
                        sign_all(self.database, [one])
                elif what == "reopen":
                    sign_off.reopen(self.database, one, reviewer="Ada", reason="look again")
                else:
                    withdrawal.withdraw(self.database, one, reviewer="Ada", reason="wrong patient")
            except DatabaseUnavailable:
                time.sleep(0.2)  # whether it was committed, the next try finds out
            except ReviewRefused:
                return  # the try before was committed, though nobody said so
            else:
                return

    def _is_signed(self, one: int) -> bool:
        with self.database.reading() as connection:
            return sign_off.signer_of(connection, one) is not None

    def await_end(self) -> None:
        """Wait until nothing is to be sent any more."""

        def is_settled() -> bool:
            with suppress(DatabaseUnavailable):
                (health,) = destination_health(self.database)
                return not health.waiting and not health.parked and health.oldest_at is None
            return False

        until(is_settled, PATIENCE_SECONDS, what="all messages to be answered", pause=0.1)

    def expected(self) -> dict[str, list[str]]:
        """Return by slide what must have come, in order, from what happened."""
        query = select(OutboxRow.slide_id, OutboxRow.kind).order_by(OutboxRow.id)
        told: dict[str, list[str]] = {}
        with self.database.reading() as connection:
            for slide_id, kind in connection.execute(query):
                of_slide = told.setdefault(f"slide-{slide_id:06}", [])
                again = "C" if {"F", "C"} & set(of_slide) else "F"
                of_slide.append(again if kind == "sign-off" else _TOLD[kind])
        return told

    def findings(self) -> Findings:
        """Compare what came with what must have come, as a receiver that drops control ids that it knows."""
        expected = self.expected()
        came: dict[str, list[Received]] = {}
        texts: dict[str, str] = {}
        twice = 0
        for message in self.lis.received:
            if message.control_id in texts:
                twice += texts[message.control_id] != message.text
                continue
            texts[message.control_id] = message.text
            came.setdefault(message.slide, []).append(message)
        lost = disordered = 0
        for slide, wanted in expected.items():
            had = [message.status for message in came.get(slide, [])]
            lost += max(0, len(wanted) - len(had))
            twice += max(0, len(had) - len(wanted))
            disordered += sorted(had) == sorted(wanted) and had != wanted
        return Findings(lost, twice, disordered)


def accepting(message: Received) -> Sequence[bytes | None]:
    """Accept."""
    return [acknowledgement(message)]
