"""Whatever happens in whatever order: once all is worked through, the tally is that of the files as they are."""

import shutil
import tempfile
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from smearcount.db.engine.database import Database
from smearcount.db.ingest import completion, journal, presence, queueing, results, retry, visibility
from smearcount.db.queries import counts
from smearcount.db.queries.inboxes import progress
from smearcount.db.records import Batch, Journalled, NotVisible, Outcome, Refusal, Refused, SeenFile, WorkItem
from smearcount.differential.classes import CellClass

from support.examples import examples
from support.journalling import MODEL, classified, new_inbox, seen, sha256, take

SLIDES = ("S", "T")
PATHS = [f"{slide}/{name}.jpg" for slide in SLIDES for name in "abc"]
#: What may be in a file; a broken one is quarantined, and "unsure" ones are not identified.
CONTENTS = ("neutrophil", "monocyte", "platelet", "unsure lymphocyte", "broken")
_DONE_AND_CALLS = "SELECT (SELECT COUNT(*) FROM images WHERE state = 'done'), (SELECT COUNT(*) FROM automatic_calls)"
LATER = timedelta(hours=1)

paths = st.sampled_from(PATHS)
contents = st.sampled_from((*CONTENTS, "neutrophil", "neutrophil"))  # so that there are duplicates


class Laboratory(RuleBasedStateMachine):
    """Files, watcher, queue and workers, each acting when it pleases."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="smearcount-property-"))
        shutil.copy(self.template, self.folder / "smearcount.db")
        self.database = Database(f"sqlite:///{self.folder / 'smearcount.db'}")
        self.inbox = new_inbox(self.database)
        #: Content of each file, and the version the disk shows of it.
        self.files: dict[str, str] = {}
        self.versions: Counter[str] = Counter()
        self.content_of: dict[tuple[str, int], str] = {}
        #: What the watcher has seen, oldest first; it may journal it late, but in order.
        self.seen: list[SeenFile] = []
        #: What is in the queue, and what was: a broker may deliver anything again at any time.
        self.queue: list[Batch] = []
        self.delivered: list[Batch] = []
        #: What workers have in hand, or once had.
        self.in_hand: list[list[WorkItem]] = []
        self.stored: list[list[Outcome]] = []

    @initialize(chosen=st.lists(contents, min_size=2, max_size=3))
    def begin_with_some_files(self, chosen: list[str]) -> None:
        """Begin with files in one slide, or there would be nothing to do."""
        for path, content in zip(PATHS, chosen, strict=False):
            self.write(path, content)

    @rule(path=paths, content=contents)
    def write(self, path: str, content: str) -> None:
        """Write or overwrite a file; its time always changes."""
        self.versions[path] += 1
        self.files[path] = content
        self.content_of[path, self.versions[path]] = content

    @rule(path=paths)
    def touch(self, path: str) -> None:
        """A file gets another time, and keeps its bytes."""
        if path in self.files:
            self.write(path, self.files[path])

    @rule(path=paths)
    def lose_sight(self, path: str) -> None:
        """A complete scan does not find a file; it is back when it is seen the next time."""
        folder, _, name = path.rpartition("/")
        known = journal.known_in_folder(self.database, self.inbox, folder)
        if name in known:
            presence.note_missing(self.database, self.inbox, [known[name].image_id])

    @rule(chosen=st.sets(paths, min_size=1))
    def see(self, chosen: set[str]) -> None:
        """The watcher sees some files, changed or not."""
        self.seen += [self._seen(path) for path in sorted(chosen) if path in self.files]

    @rule()
    def see_and_record_all(self) -> None:
        """The watcher is up to date."""
        self.see(set(PATHS))
        self.record(len(self.seen))

    @rule(path=paths)
    def see_it_empty(self, path: str) -> None:
        """The watcher sees a file in a version without content, which is overwritten at once."""
        if path in self.files:
            self.seen.append(seen(path, size=0, mtime_ns=self.versions[path], refusal=Refusal("empty", "empty")))
            self.write(path, self.files[path])

    @precondition(lambda self: self.seen)
    @rule(number=st.integers(1, 12))
    def record(self, number: int) -> None:
        """The watcher journals what it has seen, or some of it."""
        came = journal.record(self.database, self.inbox, self.seen[:number])
        self._compare(came)
        del self.seen[:number]

    @rule(at_most=st.integers(1, 10), batch_size=st.integers(1, 4))
    def take(self, at_most: int, batch_size: int) -> None:
        """The dispatch fills the queue."""
        self.queue += take(self.database, self.inbox, at_most=at_most, batch_size=batch_size)

    @precondition(lambda self: self.queue)
    @rule()
    def put_back(self) -> None:
        """The broker does not take a batch after all, or does and says it did not."""
        queueing.put_back(self.database, self.queue[-1:])

    @rule()
    def lose_the_queue(self) -> None:
        """The broker loses all it had, and the dispatch finds that out."""
        self.queue.clear()
        queueing.put_back_lost(self.database, self.inbox, queued_before=datetime.now(UTC) + LATER)

    @rule()
    def take_and_begin(self) -> None:
        """A worker is handed what is pending at once."""
        for batch in take(self.database, self.inbox):
            self._begin(batch)

    @rule()
    def work_off(self) -> None:
        """A worker does at once what there is to do."""
        for batch in take(self.database, self.inbox):
            self._store([self._outcome(item) for item in results.begin(self.database, batch.image_ids)])

    @precondition(lambda self: self.queue or self.delivered)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """A worker begins with a batch, perhaps one that was delivered before."""
        batch = data.draw(st.sampled_from(self.queue + self.delivered))
        if batch in self.queue:
            self.queue.remove(batch)
        self._begin(batch)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data(), keep=st.booleans())
    def store(self, data: st.DataObject, keep: bool) -> None:
        """A worker stores what it has in hand; another may have the same in hand still."""
        items = data.draw(st.sampled_from(self.in_hand))
        if not keep:
            self.in_hand.remove(items)
        self._store([self._outcome(item) for item in items])

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def store_again(self, data: st.DataObject) -> None:
        """The same results come once more, however old."""
        self._store(data.draw(st.sampled_from(self.stored)))

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data(), code=st.sampled_from([visibility.NOT_HERE, visibility.OTHER_COPY]))
    def miss(self, data: st.DataObject, code: str) -> None:
        """A worker's machine does not show the files as they were journalled."""
        items = data.draw(st.sampled_from(self.in_hand))
        self._store([NotVisible(item.image_id, code, "not here") for item in items])

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """The watcher looks for what workers missed: another version lies there, or the very file."""
        batches = take(self.database, self.inbox)
        self.queue += batches
        missed = [image_id for batch in batches for image_id in batch.not_visible]
        if missed:
            changed = data.draw(st.sets(st.sampled_from(missed)))
            visibility.record_findings(self.database, refused=[], changed=sorted(changed), read_anew={})

    @rule()
    def retry(self) -> None:
        """Somebody gives the quarantined images another try."""
        retry.retry(self.database)

    @rule()
    def complete(self) -> None:
        """The watcher completes the slides that look complete."""
        for name in completion.complete_slides(self.database, self.inbox, quiet=timedelta(0)):
            assert counts.slide_tally(self.database, name).pending == 0

    @invariant()
    def every_counted_image_has_one_call(self) -> None:
        """No image is counted without a call, or by two."""
        with self.database.reading() as connection:
            done, calls = connection.execute(text(_DONE_AND_CALLS)).one()
        assert done == calls

    def teardown(self) -> None:
        """Come to the end of all work, and count."""
        try:
            self._drain()
            self._check()
        finally:
            self.database.close()
            shutil.rmtree(self.folder)

    def _seen(self, path: str) -> SeenFile:
        return replace(seen(path, mtime_ns=self.versions[path]), sha256=None)

    def _compare(self, came: Journalled) -> None:
        """Do what the watcher does with files of which only the time differs; it can read the newest version alone."""
        hashed = [
            replace(file, sha256=sha256(self.content_of[path, file.mtime_ns]))
            for file in came.to_compare
            if (path := f"{file.folder}/{file.filename}") and file.mtime_ns == self.versions[path]
        ]
        again = journal.record(self.database, self.inbox, hashed)
        assert (again.to_compare, again.unchanged + again.superseded) == ((), len(hashed))

    def _begin(self, batch: Batch) -> None:
        self.delivered.append(batch)
        items = results.begin(self.database, batch.image_ids)
        if items:
            self.in_hand.append(items)

    def _outcome(self, item: WorkItem) -> Outcome:
        content = self.content_of[item.path, item.version.mtime_ns]
        if content == "broken":
            return Refused(item.image_id, Refusal("not-an-image", "broken"))
        is_sure = not content.startswith("unsure ")
        return classified(item.image_id, content, content.removeprefix("unsure "), identified=is_sure)

    def _store(self, outcomes: list[Outcome]) -> None:
        if outcomes:
            results.store(self.database, MODEL, "bench", outcomes)
            self.stored.append(outcomes)

    def _drain(self) -> None:
        """See everything once more, and let one worker come to the end of it."""
        self.seen += [self._seen(path) for path in self.files]
        self.record(len(self.seen))
        queueing.put_back_lost(self.database, self.inbox, queued_before=datetime.now(UTC) + LATER)
        for _ in range(20):
            batches = take(self.database, self.inbox)
            if not batches:
                break
            for batch in batches:
                items = results.begin(self.database, batch.image_ids)
                self._store([self._outcome(item) for item in items])
        assert progress(self.database).open == 0
        completion.complete_slides(self.database, self.inbox, quiet=timedelta(0))

    def _check(self) -> None:
        by_slide: dict[str, list[str]] = defaultdict(list)
        for path, content in self.files.items():
            by_slide[path.partition("/")[0]].append(content)
        tallies = {line.tally.slide: line.tally for line in counts.slide_tallies(self.database)}
        assert set(tallies) == set(by_slide)
        for slide, found in by_slide.items():
            distinct = set(found) - {"broken"}
            tally = tallies[slide]
            expected = {cell_class: int(cell_class.value in distinct) for cell_class in CellClass}
            assert tally.cells == expected
            assert tally.unidentified == int("unsure lymphocyte" in distinct)
            assert tally.quarantined == found.count("broken")
            assert tally.duplicates == len(found) - found.count("broken") - len(distinct)
            assert tally.completed_at is not None
            assert tally.missing == 0


def test_the_tally_is_that_of_the_files_whatever_happened_on_the_way(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility, "CHANGED_SECONDS", -1)
    Laboratory.template = Path(sqlite_url.removeprefix("sqlite:///"))

    run_state_machine_as_test(
        Laboratory,
        settings=settings(
            max_examples=examples(50, quick=2),
            stateful_step_count=30,
            # Shrinking a failure could take minutes; a history of thirty steps can be read as it is.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
