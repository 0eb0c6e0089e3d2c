"""Helpers for tests of workers: inboxes of drawn cells, a queue that is filled as the watcher fills it, worker processes."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self, TypedDict

import psutil
import pytest
import redis
from PIL import Image as Drawing
from PIL import ImageDraw
from sqlalchemy import select

from smearcount.cli.local import processes
from smearcount.cli.local.broker import EmbeddedBroker
from smearcount.db.engine.database import Database
from smearcount.db.ingest import inbox_registry, journal, queueing
from smearcount.db.records import SeenFile, WorkItem
from smearcount.db.schema import OPEN_STATES, Classification, Image, Slide
from smearcount.inbox.paths import to_text
from smearcount.inbox.versions import FileVersion
from smearcount.watcher.dispatch import Dispatch
from smearcount.watcher.settings import WatcherSettings
from smearcount.worker.queue import BatchQueue
from smearcount.worker.settings import WorkerSettings

from support.waiting import PATIENCE, wait_until


def cell_image(number: int = 0, *, comment: bytes = b"", width: int = 360, height: int = 363) -> bytes:
    """Draw a cell: each number gives different bytes, and `number % 8` decides the pixels."""
    drawing = io.BytesIO()
    _drawn(number % 8, width, height).save(drawing, "JPEG", quality=90, comment=b"%d %s" % (number, comment))
    return drawing.getvalue()


@cache
def _drawn(look: int, width: int, height: int) -> Drawing.Image:
    image = Drawing.new("RGB", (width, height), (225, 190 + look, 195))
    draw = ImageDraw.Draw(image)
    x, y, radius = width // 2, height // 2, 40 + 9 * look
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(190 - 10 * look, 150, 200))
    radius = radius // 2 + 5
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(90, 40 + 5 * look, 130))
    return image


def work_item(root: Path, path: str, *, image_id: int = 1, attempts: int = 1) -> WorkItem:
    """Return the work item of a file as it is on disk now."""
    status = (root / path).stat()
    version = FileVersion(status.st_size, status.st_mtime_ns)
    return WorkItem(image_id, to_text(str(root)), to_text(path), version, attempts)


class Outcome(NamedTuple):
    """What became of one image."""

    state: str
    reason_code: str | None
    attempts: int
    cell_class: str | None
    confidence: float | None


@dataclass
class QueuedInbox:
    """One inbox with its database and queue: journals and queues like the watcher, and asks what became of it."""

    database: Database
    root: Path
    broker_url: str
    #: Keep the SHA-256 of each file that is journalled.
    hash_files: bool = False
    _queued: BatchQueue | None = field(default=None, init=False)
    _dispatch: Dispatch | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._queued is not None:
            self._queued.close()

    @property
    def inbox_id(self) -> int:
        """Id of the inbox in the database."""
        return inbox_registry.register_inbox(self.database, str(self.root), str(self.root))

    @property
    def queue(self) -> BatchQueue:
        """The queue, as the watcher has it."""
        if self._queued is None:
            self._queued = BatchQueue(WorkerSettings(), self.broker_url)
        return self._queued

    def put(self, slide: str, count: int, comments: Mapping[int, bytes] | None = None) -> None:
        """Write images into the inbox and journal them; those with a comment hold it in their bytes."""
        folder = self.root / slide
        folder.mkdir(parents=True)
        for number in range(count):
            data = cell_image(number, comment=(comments or {}).get(number, b""))
            (folder / f"{number:04}.jpg").write_bytes(data)
        self.journal(slide)

    def journal(self, slide: str) -> None:
        """Journal all files of a slide."""
        seen = []
        for path in sorted((self.root / slide).iterdir()):
            status = path.lstat()
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if self.hash_files else None
            seen.append(
                SeenFile(
                    to_text(slide), to_text(path.name), status.st_size, status.st_mtime_ns, to_text(slide),
                    sha256=sha256,
                )
            )  # fmt: skip
        journal.record(self.database, self.inbox_id, seen)

    def send(self) -> None:
        """Queue the pending images once."""
        for batch in queueing.take_batches(self.database, self.inbox_id, at_most=10_000, batch_size=64):
            self.queue.send(batch)

    def tend(self) -> None:
        """Do one round of the watcher's dispatch: fill the queue, and take back messages that it has lost."""
        if self._dispatch is None:
            self._dispatch = Dispatch(self.database, self.queue, self.inbox_id, WatcherSettings())
        self._dispatch.run()

    def tend_until(self, condition: Callable[[], object], *, what: str) -> None:
        """Tend the queue until the condition holds; fail the test, saying `what` was waited for, if it never does."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {PATIENCE:g} s in vain for {what}; there is {self.states()}")
            self.tend()
            time.sleep(0.05)

    def tend_until_finished(self) -> None:
        """Tend the queue until no image is open."""
        self.tend_until(lambda: not self.open_images(), what="all images to be finished")

    def open_images(self) -> int:
        """Return the number of images that are still open."""
        return sum(number for state, number in self.states().items() if state in OPEN_STATES)

    def finished_images(self) -> int:
        """Return the number of images that are finished."""
        return sum(number for state, number in self.states().items() if state not in OPEN_STATES)

    def states(self) -> Counter[str]:
        """Return the number of images per state."""
        with self.database.reading() as connection:
            return Counter(connection.execute(select(Image.state)).scalars())

    def outcomes(self) -> dict[str, Outcome]:
        """Return the outcome of each image by its path."""
        with self.database.reading() as connection:
            rows = connection.execute(
                select(
                    Image.folder,
                    Image.filename,
                    Image.state,
                    Image.reason_code,
                    Image.attempts,
                    Classification.cell_class,
                    Classification.confidence,
                ).outerjoin(Classification, Classification.image_id == Image.id)
            ).all()
        assert len(rows) == len({row[:2] for row in rows}), "an image has two classifications"
        return {
            f"{folder}/{filename}": Outcome(state, reason, attempts, cell_class, confidence)
            for folder, filename, state, reason, attempts, cell_class, confidence in rows
        }

    def classes(self) -> dict[str, Counter[str]]:
        """Return the number of cells per slide and class."""
        with self.database.reading() as connection:
            rows = connection.execute(
                select(Slide.name, Classification.cell_class)
                .join(Image, Image.slide_id == Slide.id)
                .join(Classification, Classification.image_id == Image.id)
            ).all()
        return {
            slide: Counter(cell_class for name, cell_class in rows if name == slide)
            for slide in {name for name, _ in rows}
        }


class WorkerTimes(TypedDict, total=False):
    """Settings of a worker that are shorter in tests, in seconds."""

    batch_seconds: float
    redelivery_seconds: float


class WorkerProcess:
    """A real worker in its own session; none of its processes outlives the context."""

    def __init__(self, inbox: QueuedInbox, log: Path, *, mounts: str | Path = "", **settings: float) -> None:
        """Prepare; `settings` are those of the worker, `mounts` is where its machine sees the inbox."""
        self.log = log
        self._command = [
            sys.executable,
            str(Path(__file__).with_name("worker_process.py")),
            inbox.broker_url,
            inbox.database.url.render_as_string(hide_password=False),
            json.dumps({"workers": 2, "mounts": str(mounts), **settings}),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = processes.start(self._command, log=self.log)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The parent process."""
        assert self._process is not None
        return self._process

    def children(self) -> list[psutil.Process]:
        """The processes of the pool."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for its end and return the exit code; fail if a child is left."""
        pool = self.children()
        code = self.process.wait(seconds)
        _, alive = psutil.wait_procs(pool, timeout=PATIENCE)
        assert not alive, f"outlived their parent: {alive}"
        return code

    def stop(self, seconds: float = PATIENCE) -> int:
        """End it by SIGTERM and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """End parent and children by SIGKILL, at once."""
        if self.process.poll() is None:
            pool = self.children()
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            psutil.wait_procs(pool, timeout=PATIENCE)

    def said(self) -> str:
        """Return everything that it has written to its log so far."""
        return self.log.read_text(errors="replace")

    def is_ready(self) -> bool:
        """Tell whether it waits for batches."""
        return " ready." in self.said()


def kill_broker(broker: EmbeddedBroker) -> None:
    """Kill the broker once its file holds what it was sent, which can take a second."""
    with redis.Redis(unix_socket_path=str(broker.socket)) as client:
        wait_until(lambda: client.info("persistence")["aof_buffer_length"] == 0, what="the broker to write its file")
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    wait_until(lambda: not broker.is_running(), what="the broker to be gone")
