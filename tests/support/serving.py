"""A web application over a real database and a real inbox, for the tests of what it serves."""

import hashlib
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from smearcount.db.engine.database import Database
from smearcount.db.ingest import completion, inbox_registry, journal, queueing, results
from smearcount.db.records import Classified, Refusal, Refused, SeenFile
from smearcount.differential.classes import CellClass
from smearcount.differential.model import ModelUsed
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import SignOffSettings
from smearcount.web.services import Check, Colour, ModelFacts, Queue, Services
from smearcount.web.settings import WebSettings

from support.exports import cell_bytes
from support.reuse.routes import make_application_again
from support.reviewing import LENIENT
from support.waiting import wait_until

MODEL = ModelUsed("test-cnn", "1.0.0", "a" * 64, "crop128-v1", 0.5)
FACTS = ModelFacts(MODEL, Colour((180.0, 150.0, 170.0), (12.0, 14.0, 9.0)))

#: Headers of a browser on this machine.
HERE = "http://127.0.0.1:8765"

ANNA = {"X-Reviewer": "Anna%20Lab"}
BERTA = {"X-Reviewer": "Berta"}

#: The classes of a slide's cells, in turn.
MIXED = (
    *[CellClass.NEUTROPHIL] * 6,
    *[CellClass.LYMPHOCYTE] * 3,
    CellClass.MONOCYTE,
    CellClass.ERYTHROBLAST,
    CellClass.PLATELET,
)


@dataclass(frozen=True)
class Lab:
    """An inbox on disk and its database."""

    database: Database
    folder: Path
    inbox_id: int

    def add_slide(
        self,
        name: str,
        classes: Sequence[CellClass] = MIXED,
        *,
        unidentified: int = 0,
        damaged: int = 0,
        is_complete: bool = True,
    ) -> list[int]:
        """Write and classify the cells of a slide and return their ids; the last ones are unidentified or damaged."""
        called = [*classes, *[CellClass.NEUTROPHIL] * (unidentified + damaged)]
        contents = {
            f"cell-{number:04}.jpg": cell_bytes(_number(f"{name} of {len(called)}", number))
            for number in range(len(called))
        }
        self.write(name, contents)
        items: dict[str, int] = {}
        for batch in queueing.take_batches(self.database, self.inbox_id, at_most=10_000, batch_size=64):
            items |= {item.path: item.image_id for item in results.begin(self.database, batch.image_ids)}
        ids = [items[f"{name}/{filename}"] for filename in contents]
        bad = set(ids[len(ids) - damaged :])
        outcomes = [
            Refused(image_id, Refusal("damaged", "the image is truncated"))
            if image_id in bad
            else _classified(
                image_id, content, cell_class, 0.4 if number >= len(classes) else 0.99 - number % 100 / 1000
            )
            for number, (image_id, content, cell_class) in enumerate(zip(ids, contents.values(), called, strict=True))
        ]
        results.store(self.database, MODEL, "test", outcomes)
        if is_complete:
            self.complete()
        return ids

    def write(self, slide: str, contents: dict[str, bytes]) -> None:
        """Write files of a slide and journal them, as the watcher does."""
        (self.folder / slide).mkdir(exist_ok=True)
        seen = []
        for filename, content in contents.items():
            path = self.folder / slide / filename
            path.write_bytes(content)
            status = path.stat()
            seen.append(SeenFile(slide, filename, status.st_size, status.st_mtime_ns, slide))
        came = journal.record(self.database, self.inbox_id, seen)
        hashed = [replace(file, sha256=hashlib.sha256(contents[file.filename]).hexdigest()) for file in came.to_compare]
        journal.record(self.database, self.inbox_id, hashed)

    def complete(self) -> None:
        """Complete all slides that have no open images."""
        completion.complete_slides(self.database, self.inbox_id, quiet=timedelta(0))

    def application(
        self,
        settings: WebSettings | None = None,
        *,
        counts: CountSettings | None = None,
        sign_off: SignOffSettings = LENIENT,
    ) -> FastAPI:
        """Return the real application over this database."""
        return make_application_again(
            Services(
                database=self.database,
                counts=counts or CountSettings(),
                sign_off=sign_off,
                settings=settings or WebSettings(),
                data=self.folder.parent,
                version="0.0.0",
                queue=lambda: Queue(waiting=3, held=1),
                diagnose=lambda: [Check("database", "well", "answers")],
                model=lambda: FACTS,
            )
        )

    @contextmanager
    def client(
        self,
        settings: WebSettings | None = None,
        *,
        at: str = HERE,
        counts: CountSettings | None = None,
        sign_off: SignOffSettings = LENIENT,
    ) -> Iterator[TestClient]:
        """Yield a client of the application that does not follow redirects."""
        application = self.application(settings, counts=counts, sign_off=sign_off)
        with TestClient(application, base_url=at, follow_redirects=False) as client:
            yield client


def make_lab(database: Database, folder: Path) -> Lab:
    """Create `folder` and return an empty inbox in it."""
    folder.mkdir()
    return Lab(database, folder, inbox_registry.register_inbox(database, str(folder), str(folder)))


def _number(slide: str, cell: int) -> int:
    return int.from_bytes(hashlib.sha256(slide.encode()).digest()[:4], "big") * 10_000 + cell


def _classified(image_id: int, content: bytes, cell_class: CellClass, confidence: float) -> Classified:
    rest = (1 - confidence) / (len(CellClass) - 1)
    return Classified(
        image_id,
        hashlib.sha256(content).hexdigest(),
        cell_class,
        confidence,
        tuple(confidence if one is cell_class else rest for one in CellClass),
        identified=confidence >= MODEL.threshold,
    )


@contextmanager
def served(lab: Lab, settings: WebSettings | None = None, *, sign_off: SignOffSettings = LENIENT) -> Iterator[str]:
    """Serve the application over HTTP from a thread of this process; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            lab.application(settings, sign_off=sign_off), log_config=None, access_log=False, proxy_headers=False
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: server.started, what="the web server")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
