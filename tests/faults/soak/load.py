"""The load of a soak: images at a steady rate, and requests as people and programs make them."""

import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx2

from faults.background import Background
from faults.stream import choose

CELLS_PER_SLIDE = 400
_VISIT_SECONDS = 5.0


class Dropping(Background):
    """Drops links to the originals at a steady rate, slide after slide."""

    def __init__(self, originals: Sequence[Path], inbox: Path, *, per_second: float) -> None:
        super().__init__()
        self._originals = originals
        self._inbox = inbox
        self._rate = per_second
        self.dropped = 0

    def _go_on(self) -> None:
        began_at = time.monotonic()
        while not self._ending.is_set():
            due = int((time.monotonic() - began_at) * self._rate)
            while self.dropped < due:
                drop(self._originals, self._inbox / "soak", self.dropped)
                self.dropped += 1
            self._ending.wait(0.05)


class Visiting(Background):
    """Requests pages, pictures and metrics as people and programs do."""

    def __init__(self, address: str, token: str, seed: int) -> None:
        super().__init__()
        self._address = address
        self._identity = {"Authorization": f"Bearer {token}"}
        self._dice = random.Random(seed)
        #: Number of answers by status; None counts requests without an answer.
        self.answers: Counter[int | None] = Counter()

    def _go_on(self) -> None:
        with httpx2.Client(base_url=self._address, headers=self._identity, timeout=10) as client:
            while not self._ending.wait(_VISIT_SECONDS):
                newest = self._visit(client, "/api/v1/slides?limit=50")
                slides = newest.json()["slides"] if newest is not None and newest.status_code == 200 else []
                if slides:
                    slide = self._dice.choice(slides)["id"]
                    self._visit(client, f"/slides/{slide}")
                    cells = self._visit(client, f"/api/v1/slides/{slide}/cells?limit=10")
                    for cell in cells.json()["cells"] if cells is not None and cells.status_code == 200 else []:
                        self._visit(client, f"/api/v1/cells/{cell['id']}/image")
                for path in ("/", "/trends", "/metrics", "/readyz"):
                    self._visit(client, path)

    def _visit(self, client: httpx2.Client, path: str) -> httpx2.Response | None:
        try:
            answer = client.get(path)
        except httpx2.HTTPError:
            self.answers[None] += 1
            return None
        self.answers[answer.status_code] += 1
        return answer


def drop(originals: Sequence[Path], inbox: Path, number: int) -> None:
    """Put image `number` into the inbox."""
    folder = inbox.with_name(f"{inbox.name}-{number // CELLS_PER_SLIDE:06}")
    if number % CELLS_PER_SLIDE == 0:
        folder.mkdir()
    os.link(originals[number % len(originals)], folder / f"cell-{number % CELLS_PER_SLIDE:04}.jpg")


def make_originals(folder: Path, cells: int, seed: int) -> list[Path]:
    """Return files of different bytes in a new folder: real cells if there are any, drawn ones otherwise."""
    folder.mkdir()
    originals = []
    for number, file in enumerate(choose(cells, seed)):
        (folder / Path(file.path).parent).mkdir(exist_ok=True)
        file.drop(folder)
        originals.append(folder / f"{number:06}.jpg")
        (folder / file.path).rename(originals[-1])
    return originals
