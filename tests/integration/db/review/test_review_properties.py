"""Whatever people and files do in whatever order: the reviewed differential is that of a model of a few lines."""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from smearcount.db.audit.verification import verify
from smearcount.db.engine.database import Database
from smearcount.db.ingest import completion, journal, results
from smearcount.db.queries import slides as slide_queries
from smearcount.db.queries.cells import cell
from smearcount.db.queries.slides import SlideFilter, slide_page
from smearcount.db.records import Classified, Journalled, SeenFile
from smearcount.db.review.errors import ResultChanged, ReviewConflict, ReviewRefused, SlideSigned
from smearcount.db.review.history import history
from smearcount.db.review.records import Change
from smearcount.db.review.reviews import reclassify, undo
from smearcount.db.review.sign_off import comment, reopen
from smearcount.db.signing import signing
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.status import Status
from smearcount.differential.tally import SlideTally

from support.examples import examples
from support.journalling import MODEL, begin, classified, new_inbox, seen, take
from support.reviewing import RULES

SLIDES = ("S", "T")
PATHS = [f"{slide}/{name}.jpg" for slide in SLIDES for name in "ab"]
REVIEWERS = ("Ada", "Ben")

paths = st.sampled_from(PATHS)
slides = st.sampled_from(SLIDES)
reviewers = st.sampled_from(REVIEWERS)
cell_classes = st.sampled_from([CellClass.NEUTROPHIL, CellClass.MONOCYTE, CellClass.PLATELET])
review_classes = st.sampled_from([None, ReviewClass.NEUTROPHIL, ReviewClass.IG, ReviewClass.UNIDENTIFIED])


@dataclass
class _Call:
    """What one person said, as long as nobody has taken it back."""

    action: int
    reviewer: str
    cell_class: ReviewClass | None


@dataclass
class _Image:
    """One version of a file, as the model knows it."""

    id: int
    automatic: ReviewClass
    calls: list[_Call] = field(default_factory=list)

    @property
    def effective(self) -> ReviewClass:
        """What it counts as."""
        said = self.calls[-1].cell_class if self.calls else None
        return said or self.automatic


@dataclass
class _Slide:
    """One slide, as the model knows it."""

    images: dict[str, _Image] = field(default_factory=dict)
    overwritten: list[int] = field(default_factory=list)
    is_complete: bool = False
    signer: str | None = None
    was_signed: bool = False

    @property
    def result(self) -> dict[int, tuple[ReviewClass, ReviewClass, bool]]:
        """What makes the result: each image by its id, with its classes and whether a person's call counts."""
        return {
            image.id: (image.automatic, image.effective, bool(image.calls and image.calls[-1].cell_class))
            for image in self.images.values()
        }


@dataclass
class _Page:
    """A page that somebody opened: what it shows of a slide, as a token and as the model knows it."""

    slide: str
    token: str
    result: dict[int, tuple[ReviewClass, ReviewClass, bool]]


class Laboratory(RuleBasedStateMachine):
    """Two reviewers, two slides, and files that keep coming."""

    template: Path | None
    url: str

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="smearcount-property-"))
        self.database = self._empty_database()
        self.inbox = new_inbox(self.database)
        self.slides: dict[str, _Slide] = {}
        self.versions: Counter[str] = Counter()
        #: A file that is touched has another time, and the same version.
        self.times: Counter[str] = Counter()
        self.stored: list[list[Classified]] = []
        self.actions = 0
        self.pages: list[_Page] = []

    @rule(path=paths, cell_class=cell_classes, identified=st.booleans())
    def write(self, path: str, cell_class: CellClass, identified: bool) -> None:
        """A file comes, or is overwritten, and is classified at once."""
        self.versions[path] += 1
        self.times[path] += 1
        journal.record(self.database, self.inbox, [self._seen(path)])
        (item,) = begin(self.database, take(self.database, self.inbox))
        content = f"{path} {self.versions[path]}"
        self._store([classified(item.image_id, content, cell_class, identified=identified)])
        slide = self.slides.setdefault(path.partition("/")[0], _Slide())
        if path in slide.images:
            slide.overwritten.append(slide.images[path].id)
        automatic = ReviewClass(cell_class.value) if identified else ReviewClass.UNIDENTIFIED
        slide.images[path] = _Image(item.image_id, automatic)
        slide.is_complete, slide.signer = False, None

    @rule(path=paths)
    def see_again(self, path: str) -> None:
        """A rescan finds a file that has not changed."""
        if self.versions[path]:
            assert journal.record(self.database, self.inbox, [self._seen(path)]) == Journalled()

    @rule(path=paths)
    def touch(self, path: str) -> None:
        """A file gets another time: image, reviews and signature stay what they are."""
        if self.versions[path]:
            self.times[path] += 1
            assert journal.record(self.database, self.inbox, [self._seen(path)]) == Journalled(unchanged=1)

    def _seen(self, path: str) -> SeenFile:
        return seen(path, mtime_ns=self.times[path], content=f"{path} {self.versions[path]}")

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """A message comes once more, however old."""
        outcomes = data.draw(st.sampled_from(self.stored))
        assert results.begin(self.database, [outcome.image_id for outcome in outcomes]) == []
        results.store(self.database, MODEL, "bench", outcomes)

    @rule()
    def complete(self) -> None:
        """The watcher completes what is quiet."""
        completion.complete_slides(self.database, self.inbox, quiet=timedelta(0))
        for slide in self.slides.values():
            slide.is_complete = True

    @precondition(lambda self: self.slides)
    @rule(data=st.data(), who=reviewers, what=review_classes, stale=st.sampled_from([False, False, True]))
    def reclassify(self, data: st.DataObject, who: str, what: ReviewClass | None, stale: bool) -> None:
        """Somebody reclassifies some cells of a slide, perhaps on an old page."""
        slide = self.slides[data.draw(st.sampled_from(sorted(self.slides)))]
        chosen = data.draw(st.sets(st.sampled_from(sorted(slide.images)), min_size=1))
        images = [slide.images[path] for path in sorted(chosen)]
        changes = [
            Change(image.id, what, None if stale else cell(self.database, image.id).review_id) for image in images
        ]
        conflicting = {image.id for image in images if history(self.database, image.id)} if stale else set()
        if slide.signer is not None:
            with pytest.raises(SlideSigned):
                reclassify(self.database, changes, reviewer=who)
        elif conflicting:
            with pytest.raises(ReviewConflict) as raised:
                reclassify(self.database, changes, reviewer=who)
            assert {conflict.image_id for conflict in raised.value.conflicts} == conflicting
        else:
            before = {image.id: image.effective for image in images}
            written = reclassify(self.database, changes, reviewer=who)
            self.actions += 1
            for image in images:
                image.calls.append(_Call(self.actions, who, what))
            assert {review.image_id: review.was for review in written} == before
            assert {review.image_id: review.became for review in written} == {
                image.id: image.effective for image in images
            }

    @precondition(lambda self: any(slide.overwritten for slide in self.slides.values()))
    @rule(data=st.data(), who=reviewers)
    def reclassify_what_was_overwritten(self, data: st.DataObject, who: str) -> None:
        """Somebody reclassifies a cell whose file has been overwritten since he saw it."""
        overwritten = [image_id for slide in self.slides.values() for image_id in slide.overwritten]
        change = Change(data.draw(st.sampled_from(overwritten)), ReviewClass.IG, None)
        with pytest.raises(ReviewRefused, match="was overwritten"):
            reclassify(self.database, [change], reviewer=who)

    @precondition(lambda self: self.slides)
    @rule(data=st.data(), who=reviewers, times=st.integers(1, 3))
    def undo(self, data: st.DataObject, who: str, times: int) -> None:
        """Somebody takes back what he did last, and what he did before that."""
        name = data.draw(st.sampled_from(sorted(self.slides)))
        for _ in range(times):
            self._undo(name, who)

    def _undo(self, name: str, who: str) -> None:
        slide, slide_id = self.slides[name], self._slide_id(name)
        mine = [call for image in slide.images.values() for call in image.calls if call.reviewer == who]
        last = max((call.action for call in mine), default=0)
        images = [image for image in slide.images.values() if last in {call.action for call in image.calls}]
        if slide.signer is not None:
            with pytest.raises(SlideSigned):
                undo(self.database, slide_id, reviewer=who)
        elif not mine:
            with pytest.raises(ReviewRefused, match="nothing to undo"):
                undo(self.database, slide_id, reviewer=who)
        elif any(image.calls[-1].action != last for image in images):
            with pytest.raises(ReviewConflict):
                undo(self.database, slide_id, reviewer=who)
        else:
            undone = undo(self.database, slide_id, reviewer=who)
            for image in images:
                image.calls.pop()
            assert {review.image_id: review.became for review in undone} == {
                image.id: image.effective for image in images
            }

    @precondition(lambda self: self.slides)
    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """Somebody opens the page of a slide and leaves it open."""
        self._look(data.draw(st.sampled_from(sorted(self.slides))))

    def _look(self, name: str) -> _Page:
        token = slide_queries.slide(self.database, self._slide_id(name)).digest(RULES.counts)
        page = _Page(name, token, self.slides[name].result)
        self.pages.append(page)
        return page

    @precondition(lambda self: self.slides)
    @rule(data=st.data(), who=reviewers, waits=st.booleans(), is_old=st.booleans())
    def sign(self, data: st.DataObject, who: str, waits: bool, is_old: bool) -> None:
        """Somebody signs, perhaps once the slide is complete, and perhaps on a page that was opened long ago."""
        if waits:
            self.complete()
        if is_old and self.pages:
            page = data.draw(st.sampled_from(self.pages))
        else:
            page = self._look(data.draw(st.sampled_from(sorted(self.slides))))
        of, slide_id = self.slides[page.slide], self._slide_id(page.slide)
        if of.signer is not None or not of.is_complete:
            with pytest.raises(ReviewRefused):
                signing.sign(self.database, slide_id, reviewer=who, rules=RULES, seen=page.token)
        elif page.result != of.result:
            with pytest.raises(ResultChanged) as raised:
                signing.sign(self.database, slide_id, reviewer=who, rules=RULES, seen=page.token)
            images = raised.value.change.images
            assert set(images.added) == of.result.keys() - page.result.keys()
            gone = page.result.keys() - of.result.keys()
            assert images.gone == len(gone)
            assert not images.gone_ids or set(images.gone_ids) == gone
            assert raised.value.change.is_in_the_images
        else:
            event = signing.sign(self.database, slide_id, reviewer=who, rules=RULES, seen=page.token)
            assert event.counted == len(of.images)
            of.signer, of.was_signed = who, True

    @precondition(lambda self: self.slides)
    @rule(data=st.data(), who=reviewers)
    def reopen(self, data: st.DataObject, who: str) -> None:
        """Somebody takes the signature away."""
        name = data.draw(st.sampled_from(sorted(self.slides)))
        slide, slide_id = self.slides[name], self._slide_id(name)
        if slide.signer is not None:
            reopen(self.database, slide_id, reviewer=who, reason="look again")
            slide.signer, slide.was_signed = None, False
        else:
            with pytest.raises(ReviewRefused):
                reopen(self.database, slide_id, reviewer=who, reason="look again")

    @precondition(lambda self: self.slides)
    @rule(data=st.data(), who=reviewers)
    def comment(self, data: st.DataObject, who: str) -> None:
        """Somebody says something."""
        comment(self.database, self._slide_id(data.draw(st.sampled_from(sorted(self.slides)))), reviewer=who, text="hm")

    @invariant()
    def both_differentials_are_those_of_the_model(self) -> None:
        """The automatic count knows nothing of people, and the reviewed one all that they said and did not take back."""
        found = {one.name: one for one in slide_page(self.database, SlideFilter()).slides}
        assert set(found) == set(self.slides)
        for name, slide in self.slides.items():
            one = found[name]
            assert _numbers(one.automatic) == Counter(image.automatic for image in slide.images.values())
            assert _numbers(one.reviewed) == Counter(image.effective for image in slide.images.values())
            called = [image for image in slide.images.values() if image.calls and image.calls[-1].cell_class]
            assert one.reviewed_cells == len(called)
            assert one.signed_by == slide.signer
            assert one.changed_since_signed == (slide.was_signed and slide.signer is None)
            is_complete = Status.SIGNED if slide.signer else Status.COMPLETE
            assert one.status is (is_complete if slide.is_complete else Status.COUNTING)

    def teardown(self) -> None:
        """See that the views tell the same in the end, and that nothing that was ever said is gone."""
        try:
            self._check_views()
            assert verify(self.database).holds
        finally:
            self.database.close()
            shutil.rmtree(self.folder)

    def _empty_database(self) -> Database:
        if self.template is not None:
            shutil.copy(self.template, self.folder / "smearcount.db")
            return Database(f"sqlite:///{self.folder / 'smearcount.db'}")
        database = Database(self.url)
        with database.writing() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))  # no trigger refuses it
            connection.execute(text("TRUNCATE inboxes, models RESTART IDENTITY CASCADE"))
            connection.execute(text("UPDATE audit_chain SET position = 0, hash = beginning"))
        return database

    def _slide_id(self, name: str) -> int:
        (found,) = slide_page(self.database, SlideFilter(text=name)).slides
        return found.id

    def _store(self, outcomes: list[Classified]) -> None:
        results.store(self.database, MODEL, "bench", outcomes)
        self.stored.append(outcomes)

    def _check_views(self) -> None:
        with self.database.reading() as connection:
            calls = connection.execute(text("SELECT image_id, cell_class, identified FROM reviewed_calls")).all()
            signed = connection.execute(text("SELECT slide, signed_by FROM slide_summary")).all()
            gone = connection.execute(
                text("SELECT COUNT(*) FROM reviews WHERE image_id NOT IN (SELECT id FROM images)")
            )
            assert gone.scalar_one() == 0
        images = {image.id: image for slide in self.slides.values() for image in slide.images.values()}
        found = {
            image_id: ReviewClass(cell_class) if identified else ReviewClass.UNIDENTIFIED
            for image_id, cell_class, identified in calls
        }
        assert found == {image_id: image.effective for image_id, image in images.items()}
        assert dict(signed) == {name: slide.signer for name, slide in self.slides.items()}


def _numbers(tally: SlideTally) -> Counter[ReviewClass]:
    numbers = Counter({ReviewClass(name.value): number for name, number in tally.cells.items()})
    numbers[ReviewClass.UNIDENTIFIED] = tally.unidentified
    return +numbers


def _run(histories: int) -> None:
    run_state_machine_as_test(
        Laboratory,
        settings=settings(
            max_examples=histories,
            stateful_step_count=30,
            # Shrinking a failure could take minutes; a history of thirty steps can be read as it is.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )


def test_the_reviewed_differential_is_that_of_the_model(sqlite_url: str) -> None:
    Laboratory.template = Path(sqlite_url.removeprefix("sqlite:///"))
    _run(examples(50, quick=2))


def test_the_reviewed_differential_is_that_of_the_model_on_postgresql(postgresql_url: str) -> None:
    Laboratory.template, Laboratory.url = None, postgresql_url
    _run(examples(10, quick=1))
