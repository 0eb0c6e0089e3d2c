"""From images to outcomes, and from batches to rows, with the shipped network and real databases."""

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image as Drawing
from sqlalchemy import select

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.ingest import queueing, results
from smearcount.db.queries.usage import time_spent
from smearcount.db.records import Batch, Classified, NotVisible, Outcome, Refused, TimeSpent, WorkItem
from smearcount.db.schema import Classification, Image
from smearcount.differential.model import ModelUsed
from smearcount.inbox.mounts import Mounts
from smearcount.models.card import load_card
from smearcount.models.inference.classification import Classification as Call
from smearcount.models.inference.classifier import Classifier, load_classifier
from smearcount.models.inference.colour import mean_colours
from smearcount.models.preprocessing import decode_cell
from smearcount.models.settings import SHIPPED_MODEL, ModelSettings
from smearcount.worker import pipeline
from smearcount.worker.batches import MOST_ATTEMPTS, process_batch
from smearcount.worker.pipeline import classify
from smearcount.worker.reading import read_image

from support.examples import examples
from support.working import QueuedInbox, cell_image, work_item

P = ParamSpec("P")
R = TypeVar("R")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """The shipped network."""
    return load_classifier(ModelSettings(), threads=1)


@pytest.fixture
def inbox(tmp_path: Path, database: Database) -> Iterator[QueuedInbox]:
    """Yield an inbox with a database, once SQLite and once PostgreSQL, and no broker."""
    (tmp_path / "inbox").mkdir()
    with QueuedInbox(database, tmp_path / "inbox", "redis://nowhere") as made:
        yield made


class Unreliable:
    """A classifier that does not survive some images, for what no image can do to the real one on purpose."""

    def __init__(self, real: Classifier, deadly: npt.NDArray[np.uint8]) -> None:
        """Pass on to `real`, except when one of the images is `deadly`."""
        self._real = real
        self._deadly = deadly

    @property
    def identity(self) -> ModelUsed:
        """That of the real one."""
        return self._real.identity

    def classify(self, pixels: npt.NDArray[np.uint8]) -> list[Call]:
        """Classify, or raise."""
        if any(np.array_equal(image, self._deadly) for image in pixels):
            raise RuntimeError("the runtime broke")
        return self._real.classify(pixels)


def _png(mode: str, size: tuple[int, int], colour: object) -> bytes:
    drawing = io.BytesIO()
    Drawing.new(mode, size, colour).save(drawing, "PNG")  # type: ignore[arg-type]
    return drawing.getvalue()


#: Every kind of bad image there is, with the code it is to be refused with.
BAD = {
    "empty": (b"", "empty"),
    "text": (b"not an image at all", "not-an-image"),
    "cut": (cell_image(1)[:2000], "damaged"),
    "small": (cell_image(1, width=100, height=100), "wrong-size"),
    "large": (cell_image(1, width=600, height=600), "wrong-size"),
    "grey": (_png("L", (360, 363), 128), "no-colour"),
    "clear": (_png("RGBA", (360, 363), (1, 2, 3, 0)), "transparent"),
    "html": (b"<html>" * 50, "not-an-image"),
    "oversized": (bytes(2 * 1024 * 1024 + 1), "too-large"),
}


def _by_id(outcomes: list[Outcome]) -> dict[int, Outcome]:
    assert len({outcome.image_id for outcome in outcomes}) == len(outcomes)
    return {outcome.image_id: outcome for outcome in outcomes}


def test_each_image_of_a_mixed_batch_gets_its_own_outcome(tmp_path: Path, classifier: Classifier) -> None:
    expected: dict[int, str] = {}
    items: list[WorkItem] = []
    for number, (name, (data, code)) in enumerate(BAD.items()):
        for path, content in ((f"{name}.jpg", data), (f"{name}-good.jpg", cell_image(number))):
            (tmp_path / path).write_bytes(content)
            items.append(work_item(tmp_path, path, image_id=len(items)))
            expected[items[-1].image_id] = code if content is data else "classified"
    (tmp_path / "pipe.jpg").write_bytes(b"x")
    pipe = work_item(tmp_path, "pipe.jpg", image_id=len(items))
    (tmp_path / "pipe.jpg").unlink()
    os.mkfifo(tmp_path / "pipe.jpg")
    gone = replace(items[1], image_id=len(items) + 1, path="gone.jpg")
    changed = replace(items[1], image_id=len(items) + 2, version=replace(items[1].version, size=1))
    swapped = replace(items[1], image_id=len(items) + 3, sha256="0" * 64)
    items += [pipe, gone, changed, swapped]
    expected |= {pipe.image_id: "not-here", gone.image_id: "not-here"}
    expected |= {changed.image_id: "other-copy", swapped.image_id: "other-copy"}

    outcomes = _by_id(classify(items, classifier)[0])

    kinds = {
        image_id: outcome.refusal.code
        if isinstance(outcome, Refused)
        else outcome.code
        if isinstance(outcome, NotVisible)
        else "classified"
        for image_id, outcome in outcomes.items()
    }
    assert kinds == expected
    for item in items:
        outcome = outcomes[item.image_id]
        if isinstance(outcome, Classified):
            assert [outcome] == classify([item], classifier)[0], "an image's result depends on its neighbours"
            assert outcome.sha256 == hashlib.sha256((tmp_path / item.path).read_bytes()).hexdigest()


def test_real_cells_come_out_the_same_alone_and_among_bad_ones(
    tmp_path: Path, pbc: Path, classifier: Classifier
) -> None:
    items: list[WorkItem] = []
    for folder in sorted((pbc / "val").iterdir()):
        cell = min(folder.glob("*.jpg"))
        shutil.copy(cell, tmp_path / f"{folder.name}.jpg")
        items.append(work_item(tmp_path, f"{folder.name}.jpg", image_id=len(items)))
    good = len(items)
    for name, (data, _) in BAD.items():
        (tmp_path / name).write_bytes(data)
        items.insert(len(items) // 2, work_item(tmp_path, name, image_id=len(items)))

    together = _by_id(classify(items, classifier)[0])

    calls = [outcome for outcome in together.values() if isinstance(outcome, Classified)]
    assert len(calls) == good == 8
    for item in items:
        assert classify([item], classifier)[0] == [together[item.image_id]]


def test_a_refused_image_keeps_the_checksum_of_its_bytes(tmp_path: Path, classifier: Classifier) -> None:
    (tmp_path / "text.jpg").write_bytes(b"not an image at all")

    (outcome,), _ = classify([work_item(tmp_path, "text.jpg")], classifier)

    assert isinstance(outcome, Refused)
    assert outcome.sha256 == hashlib.sha256(b"not an image at all").hexdigest()


def test_no_images_give_no_outcomes(classifier: Classifier) -> None:
    assert classify([], classifier)[0] == []


def _take(inbox: QueuedInbox) -> list[Batch]:
    return queueing.take_batches(inbox.database, inbox.inbox_id, at_most=1000, batch_size=64)


def test_a_batch_is_classified_and_stored(inbox: QueuedInbox, classifier: Classifier) -> None:
    inbox.put("S1", 64)
    (batch,) = _take(inbox)

    process_batch(inbox.database, classifier, "bench-1", batch.image_ids)

    assert inbox.states() == {"done": 64}
    with inbox.database.reading() as connection:
        rows = connection.execute(select(Classification)).mappings().all()
    assert {row["worker"] for row in rows} == {"bench-1"}
    card = load_card(SHIPPED_MODEL)
    assert card.ood is not None
    for row in rows:
        assert row["confidence"] == max(row["probabilities"])
        assert row["identified"] == (row["confidence"] >= card.threshold and row["unlikeness"] <= card.ood.limit)


def test_the_colour_of_each_image_is_stored(inbox: QueuedInbox, classifier: Classifier) -> None:
    inbox.put("S1", 2)
    (batch,) = _take(inbox)
    process_batch(inbox.database, classifier, "bench", batch.image_ids)

    with inbox.database.reading() as connection:
        rows = connection.execute(
            select(Image.filename, Classification.red, Classification.green, Classification.blue).join(
                Image, Image.id == Classification.image_id
            )
        ).all()
    expected = {
        name: mean_colours(decode_cell(cell_image(number))[np.newaxis])[0].tolist()
        for number, name in enumerate(("0000.jpg", "0001.jpg"))
    }
    assert {name: [red, green, blue] for name, red, green, blue in rows} == expected


class Stopwatch:
    """A clock that goes on only when a step of the pipeline runs, by the seconds that the step is said to take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Say what time it is, in seconds."""
        return self.now

    def slowed(self, step: Callable[P, R], seconds: float) -> Callable[P, R]:
        """Have a step take so many seconds."""

        def slow(*args: P.args, **kwargs: P.kwargs) -> R:
            self.now += seconds
            return step(*args, **kwargs)

        return slow


def test_what_a_batch_takes_is_added_up(
    inbox: QueuedInbox, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopwatch = Stopwatch()
    monkeypatch.setattr(pipeline, "perf_counter", stopwatch)
    monkeypatch.setattr(pipeline, "read_image", stopwatch.slowed(read_image, 0.25))
    monkeypatch.setattr(pipeline, "decode_cell", stopwatch.slowed(decode_cell, 1))
    monkeypatch.setattr(pipeline, "mean_colours", stopwatch.slowed(mean_colours, 100))
    inbox.put("S1", 100)
    (inbox.root / "S1" / "0007.jpg").write_bytes(b"no image")
    inbox.journal("S1")
    assert time_spent(inbox.database) == TimeSpent(0, 0.0, 0.0, 0.0)

    for batch in _take(inbox):
        process_batch(inbox.database, classifier, "bench", batch.image_ids)

    assert time_spent(inbox.database) == TimeSpent(100, reading=25.0, decoding=100.0, network=200.0)


def test_working_through_a_batch_again_changes_nothing(inbox: QueuedInbox, classifier: Classifier) -> None:
    inbox.put("S1", 10)
    (batch,) = _take(inbox)
    process_batch(inbox.database, classifier, "bench-1", batch.image_ids)
    before = inbox.outcomes()

    process_batch(inbox.database, classifier, "bench-2", batch.image_ids)

    assert inbox.outcomes() == before


def test_ids_of_images_that_are_not_there_are_passed_over(inbox: QueuedInbox, classifier: Classifier) -> None:
    inbox.put("S1", 1)
    (batch,) = _take(inbox)

    process_batch(inbox.database, classifier, "bench-1", [*batch.image_ids, 999_999])

    assert inbox.states() == {"done": 1}


def test_an_image_with_which_a_worker_began_before_is_tried_alone(inbox: QueuedInbox, classifier: Classifier) -> None:
    inbox.put("S1", 8)
    (batch,) = _take(inbox)
    results.begin(inbox.database, batch.image_ids)  # and the worker died
    deadly = Unreliable(classifier, _pixels(3))

    with pytest.raises(RuntimeError):
        process_batch(inbox.database, deadly, "bench-1", batch.image_ids)

    outcomes = inbox.outcomes()
    assert [outcomes[f"S1/{number:04}.jpg"].state for number in range(4)] == ["done", "done", "done", "queued"]
    assert outcomes["S1/0003.jpg"].attempts == 2


def test_an_image_is_given_up_after_three_attempts_and_the_others_are_counted(
    inbox: QueuedInbox, classifier: Classifier
) -> None:
    inbox.put("S1", 8)
    (batch,) = _take(inbox)
    deadly = Unreliable(classifier, _pixels(5))

    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(RuntimeError):
            process_batch(inbox.database, deadly, "bench-1", batch.image_ids)
    process_batch(inbox.database, deadly, "bench-1", batch.image_ids)

    assert inbox.states() == {"done": 7, "quarantined": 1}
    given_up = inbox.outcomes()["S1/0005.jpg"]
    assert (given_up.reason_code, given_up.attempts) == ("kills-worker", MOST_ATTEMPTS)


def test_a_database_that_fails_while_storing_costs_no_attempt(
    inbox: QueuedInbox, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox.put("S1", 3)
    (batch,) = _take(inbox)

    def fail(*_: object) -> None:
        raise DatabaseUnavailable("the database is full")

    with monkeypatch.context() as patched:
        patched.setattr(results, "store", fail)
        with pytest.raises(DatabaseUnavailable):
            process_batch(inbox.database, classifier, "bench-1", batch.image_ids)
    assert {outcome.attempts for outcome in inbox.outcomes().values()} == {0}

    process_batch(inbox.database, classifier, "bench-1", batch.image_ids)
    assert inbox.states() == {"done": 3}


def test_an_inbox_that_is_not_shown_here_costs_no_attempt_and_no_time(
    inbox: QueuedInbox, classifier: Classifier
) -> None:
    inbox.put("S1", 3)
    (batch,) = _take(inbox)
    away = inbox.root.with_name("away")
    inbox.root.rename(away)

    summary = process_batch(inbox.database, classifier, "bench-1", batch.image_ids)

    assert inbox.states() == {"pending": 3}
    assert {(one.reason_code, one.attempts) for one in inbox.outcomes().values()} == {("not-here", 0)}
    assert [item.image_id for item, _ in summary.not_visible] == list(batch.image_ids)
    assert summary.visible == 0
    assert time_spent(inbox.database).images == 0, "images that were not seen were not worked on"
    (again,) = _take(inbox)
    assert again.image_ids == batch.image_ids, "another machine may see them"

    summary = process_batch(
        inbox.database, classifier, "bench-2", again.image_ids, mounts=Mounts({str(inbox.root): str(away)})
    )
    assert inbox.states() == {"done": 3}
    assert (summary.visible, summary.not_visible) == (3, ())


def test_what_is_seen_of_a_batch_is_counted_and_the_rest_left_to_others(
    inbox: QueuedInbox, classifier: Classifier
) -> None:
    inbox.hash_files = True
    inbox.put("S1", 4)
    (batch,) = _take(inbox)
    missing, older = inbox.root / "S1" / "0001.jpg", inbox.root / "S1" / "0002.jpg"
    missing.unlink()
    status, content = older.stat(), older.read_bytes()
    older.write_bytes(content[::-1])
    os.utime(older, ns=(status.st_atime_ns, status.st_mtime_ns))

    summary = process_batch(inbox.database, classifier, "bench-1", batch.image_ids)

    outcomes = inbox.outcomes()
    assert {path: (one.state, one.reason_code) for path, one in outcomes.items()} == {
        "S1/0000.jpg": ("done", None),
        "S1/0001.jpg": ("pending", "not-here"),
        "S1/0002.jpg": ("pending", "other-copy"),
        "S1/0003.jpg": ("done", None),
    }
    assert summary.visible == time_spent(inbox.database).images == 2


def _pixels(number: int) -> npt.NDArray[np.uint8]:
    return decode_cell(cell_image(number))


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    strange=st.lists(
        st.integers() | st.none() | st.booleans() | st.text() | st.floats(allow_nan=False) | st.lists(st.integers()),
        max_size=5,
    )
)
@example(strange=[2**63, -(2**63) - 1, 10**40, 2**63 - 1, -1, 0])
def test_a_message_may_hold_anything(inbox: QueuedInbox, classifier: Classifier, strange: list[object]) -> None:
    before = set(inbox.outcomes())
    inbox.put(f"S{len(before)}", 1)
    mine = [image_id for batch in _take(inbox) for image_id in batch.image_ids]

    process_batch(inbox.database, classifier, "bench", [*strange, *mine])  # type: ignore[list-item]

    assert [inbox.outcomes()[path].state for path in inbox.outcomes().keys() - before] == ["done"]
