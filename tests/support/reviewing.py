"""Helpers that fill slides and review them, for tests of the database."""

from collections.abc import Sequence
from datetime import timedelta

from smearcount.db.engine.database import Database
from smearcount.db.ingest import completion
from smearcount.db.queries.cells import cell
from smearcount.db.queries.counts import find_slide_id
from smearcount.db.queries.slides import slide
from smearcount.db.review.records import Change, Review
from smearcount.db.review.reviews import reclassify
from smearcount.db.review.sign_off import SlideEvent
from smearcount.db.signing import signing
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.signing.policy import Policy, SigningRules, SignOffSettings

from support.examining import DEFAULTS
from support.journalling import count_cells, new_inbox

NEUTROPHIL, MONOCYTE, IG = ReviewClass.NEUTROPHIL, ReviewClass.MONOCYTE, ReviewClass.IG
UNIDENTIFIED = ReviewClass.UNIDENTIFIED

#: A site that lets any slide be signed: most tests have slides of few cells.
LENIENT = SignOffSettings(
    sign_off_unidentified=Policy.ALLOWED,
    sign_off_few_wbc=Policy.ALLOWED,
    sign_off_quarantined=Policy.ALLOWED,
    sign_off_unlike_images=Policy.ALLOWED,
)
#: What signatures are given by there.
RULES = SigningRules(counts=DEFAULTS, policy=LENIENT, version="0.0.0")


def sign(
    database: Database, slide_id: int, *, reviewer: str, comment: str | None = None, rules: SigningRules = RULES
) -> SlideEvent:
    """Sign a slide as a person does who has just seen it."""
    seen = slide(database, slide_id).digest(rules.counts)
    return signing.sign(database, slide_id, reviewer=reviewer, comment=comment, rules=rules, seen=seen)


class Bench:
    """An inbox with slides for a person to review."""

    def __init__(self, database: Database) -> None:
        """Register the inbox; it holds nothing yet."""
        self.database = database
        self.inbox = new_inbox(database)

    def fill(self, slide: str, classes: Sequence[CellClass | None]) -> list[int]:
        """Store cells of these classes (None: the model is not sure) and return their ids."""
        cells = [
            (f"{slide}/{number}.jpg", f"{slide} {number}", cell_class or CellClass.LYMPHOCYTE, cell_class is not None)
            for number, cell_class in enumerate(classes)
        ]
        ids = count_cells(self.database, self.inbox, cells)
        return [ids[path] for path, _, _, _ in cells]

    def complete(self) -> None:
        """Complete the slides that have no open images."""
        completion.complete_slides(self.database, self.inbox, quiet=timedelta(0))

    def slide_id(self, name: str) -> int:
        """Return the id of a slide."""
        return find_slide_id(self.database, name)

    def call(
        self,
        cell_class: ReviewClass | None,
        *image_ids: int,
        reviewer: str = "Ada",
        reason: str | None = None,
    ) -> list[Review]:
        """Reclassify images as a person does who has just seen their current calls."""
        changes = [Change(image_id, cell_class, cell(self.database, image_id).review_id) for image_id in image_ids]
        return reclassify(self.database, changes, reviewer=reviewer, reason=reason)
