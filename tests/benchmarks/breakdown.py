"""Where the time goes: one worker's work on real images, stage by stage, on one core and with nothing else running."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np

from smearcount.db.engine.database import Database
from smearcount.db.ingest import inbox_registry, journal, queueing, results
from smearcount.db.migration import migrate
from smearcount.db.records import Classified
from smearcount.inbox.ignoring import IgnoredFiles, Ignoring
from smearcount.inbox.reading import OpenFolders
from smearcount.models.inference.classifier import load_classifier
from smearcount.models.preprocessing import Pixels, central_square, decode_half_size
from smearcount.models.settings import ModelSettings
from smearcount.watcher.assignment import seen_file
from smearcount.watcher.layout import Layout
from smearcount.watcher.scan import unknown_files
from smearcount.watcher.settings import WatcherSettings
from smearcount.worker.reading import read_image

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Stages:
    """Seconds by stage."""

    def __init__(self) -> None:
        """Begin without stages."""
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, stage: str, function: Callable[_P, _R], *arguments: _P.args, **named: _P.kwargs) -> _R:
        """Call the function and add its duration to a stage."""
        start = time.perf_counter()
        answer = function(*arguments, **named)
        self.seconds[stage] += time.perf_counter() - start
        return answer


def microseconds_per_image(inbox: Path, images: int, scratch: Path) -> dict[str, float]:
    """Return the time of each stage per image, in the order of the stages, in microseconds.

    It calls the functions of watcher and worker, one after the other in this process, with SQLite.
    """
    stages = Stages()
    settings = WatcherSettings()
    layout = Layout(settings.pattern)
    classifier = load_classifier(ModelSettings(), threads=1)
    identity = classifier.identity
    with Database(f"sqlite:///{scratch / 'breakdown.db'}") as database:
        migrate(database)
        inbox_id = inbox_registry.register_inbox(database, "breakdown", str(inbox))
        probed = stages.timed("watcher: scan", _scan, inbox)
        files = stages.timed("watcher: assign", lambda: [seen_file(one, layout) for one in probed])
        for start in range(0, len(files), 2000):
            stages.timed("watcher: journal", journal.record, database, inbox_id, files[start : start + 2000])
        while batches := stages.timed(
            "watcher: take batches", queueing.take_batches, database, inbox_id,
            at_most=settings.queue_images, batch_size=settings.batch_images,
        ):  # fmt: skip
            for batch in batches:
                begun, _ = stages.timed("database: begin", results.begin_fresh, database, batch.image_ids)
                with OpenFolders() as folders:
                    read = [(item, stages.timed("read and check", read_image, item, folders)) for item in begun]
                content = [(item, data) for item, data in read if isinstance(data, bytes)]
                hashes = [stages.timed("hash", _sha256, data) for _, data in content]
                halves = [stages.timed("decode", decode_half_size, data) for _, data in content]
                pixels = stages.timed("preprocess", _stacked, halves)
                calls = stages.timed("network", classifier.classify, pixels)
                outcomes = [
                    Classified(
                        item.image_id, sha256, call.cell_class, call.confidence, call.probabilities, call.identified,
                        call.ood_score,
                    )
                    for (item, _), sha256, call in zip(content, hashes, calls, strict=True)
                ]  # fmt: skip
                stages.timed("database: store", results.store, database, identity, "breakdown", outcomes)
    return {stage: seconds / images * 1e6 for stage, seconds in stages.seconds.items()}


def _scan(inbox: Path) -> list:  # type: ignore[type-arg]
    found = unknown_files(str(inbox), "", lambda _: {}, lambda _: None, set(), IgnoredFiles(Ignoring()))
    return [probed for probed in found if probed is not None]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _stacked(halves: Sequence[Pixels]) -> Pixels:
    return np.stack([central_square(half, 128) for half in halves])
