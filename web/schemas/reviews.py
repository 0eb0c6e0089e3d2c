"""Schemas of reviews, comments and signatures, in requests and in answers."""

from typing import Annotated, Self

from pydantic import Field

from smearcount.db.ingest.retry import Retried as RetryResult
from smearcount.db.review.checks import LONGEST_TEXT
from smearcount.db.review.records import Change, Conflict, ResultChange, Review
from smearcount.db.review.result import SEEN_FORM
from smearcount.differential.classes import ReviewClass
from smearcount.differential.signing.policy import ObstacleCode
from smearcount.web.schemas.base import Answer, Id, IdOrNone, Moment, Question
from smearcount.web.schemas.slides import DifferentialAnswer

#: Most cells that one request reclassifies; a slide rarely has more, and a body of so many is within the limit.
MOST_CHANGES = 2000

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


class ChangeQuestion(Question):
    """What one cell is to be called."""

    cell: Id = Field(description="Id of the cell's image.", examples=[3])
    cell_class: ReviewClass | None = Field(
        alias="class",
        description="One of the eight classes, or `unidentified` to take it out of the count (a smudge, a blast, an "
        "artefact); null to go back to the model's call.",
        examples=["ig"],
    )
    seen_review: Id | None = Field(
        default=None,
        description="The cell's `review_id` that the reviewer saw; null if it had none. If it is another one by now, "
        "nothing is written and the answer is 409.",
    )

    def change(self) -> Change:
        """Return it as the database takes it."""
        return Change(self.cell, self.cell_class, self.seen_review)


class ReviewQuestion(Question):
    """Some cells that a reviewer calls otherwise, in one action that is also undone as one."""

    changes: list[ChangeQuestion] = Field(min_length=1, max_length=MOST_CHANGES)
    reason: Text | None = Field(default=None, description="Why, in words.", examples=["band forms"])


class CommentQuestion(Question):
    """A comment about a slide."""

    text: Text = Field(min_length=1, examples=["many smudge cells at the feathered edge"])


class SignQuestion(Question):
    """A signature: an agreement with a result that was seen, which `seen_digest` names."""

    comment: Text | None = Field(default=None)
    seen_digest: Annotated[str, Field(pattern=rf"^{SEEN_FORM}$")] | None = Field(
        default=None,
        description="The slide's `digest` that came with the result that the reviewer saw. If the result is another one by "
        "now, the slide is not signed and the answer is 409 with `changed`.",
    )
    seen_review: IdOrNone | None = Field(
        default=None,
        description="For programs that know no `digest`, and ignored beside it: the slide's `last_review_id` that the "
        "reviewer saw, 0 if it had none. If there is a newer one, the slide is not signed and the answer is 409; images "
        "that came since are not noticed. One of the two is needed.",
    )
    acknowledged: list[ObstacleCode] = Field(
        default=[],
        max_length=20,
        description="What the reviewer knows to stand in the way, by the `code` of the slide's `obstacles`; it is kept with "
        "the signature.",
        examples=[["few-wbc"]],
    )


class ReopenQuestion(Question):
    """Why a signature is taken back."""

    reason: Text = Field(min_length=1, examples=["two monocytes were reactive lymphocytes"])


class WithdrawQuestion(Question):
    """Why a slide is withdrawn or restored."""

    reason: Text = Field(min_length=1, examples=["a second export of S-1, under a misspelt name"])


class ReviewAnswer(Answer):
    """What one person said of one cell; never changed or removed, only followed by another one."""

    id: int
    action: str = Field(description="What was done in one go has the same.")
    cell: int = Field(description="Id of the cell's image.")
    slide_id: int
    cell_class: ReviewClass | None = Field(
        serialization_alias="class", description="Null went back to the model's call."
    )
    was: ReviewClass = Field(description="What the cell counted as before.")
    became: ReviewClass = Field(description="What it counted as from then on.")
    reviewer: str
    reason: str | None
    reviewed_at: Moment = Field(description="In UTC.")
    undoes: int | None = Field(description="The review that this one took back; null if none.")

    @classmethod
    def of(cls, review: Review) -> Self:
        """Show a review."""
        return cls(
            id=review.id,
            action=review.action,
            cell=review.image_id,
            slide_id=review.slide_id,
            cell_class=review.cell_class,
            was=review.was,
            became=review.became,
            reviewer=review.reviewer,
            reason=review.reason,
            reviewed_at=review.reviewed_at,
            undoes=review.undoes,
        )


class History(Answer):
    """All that people ever said of a cell."""

    reviews: list[ReviewAnswer] = Field(description="Oldest first.")


class Reviewed(Answer):
    """What a change came to."""

    reviews: list[ReviewAnswer] = Field(description="The new reviews, one per cell.")
    differentials: list[DifferentialAnswer] = Field(
        description="The differentials of the slides concerned, as they are now."
    )


class ConflictAnswer(Answer):
    """What others said of a cell since the reviewer looked at it."""

    cell: int
    reviews: list[ReviewAnswer] = Field(description="Who, when, from what, to what; oldest first.")

    @classmethod
    def of(cls, conflict: Conflict) -> Self:
        """Show a conflict."""
        return cls(cell=conflict.image_id, reviews=[ReviewAnswer.of(review) for review in conflict.reviews])


class ChangedAnswer(Answer):
    """How the result of a slide has changed since a reviewer saw it."""

    images_added: int = Field(description="Images that are counted now and were not.")
    added: list[int] = Field(description="Their ids.")
    images_gone: int = Field(description="Images that were counted and are not any more.")
    gone: list[int] = Field(description="Their ids; empty where it cannot be told which.")
    files_not_counted: int = Field(description="Files that came since and are not counted.")
    calls_changed: int = Field(description="Cells that people or another model have called since.")
    called_anew: list[int] = Field(description="Ids of the images that another model has called.")
    settings: bool = Field(description="Whether it was the site's settings that changed, such as a reference range.")

    @classmethod
    def of(cls, change: ResultChange) -> Self:
        """Show a change."""
        images = change.images
        return cls(
            images_added=len(images.added),
            added=list(images.added),
            images_gone=images.gone,
            gone=list(images.gone_ids),
            files_not_counted=images.others,
            calls_changed=len({*images.called_anew, *(conflict.image_id for conflict in change.reviews)}),
            called_anew=list(images.called_anew),
            settings=not change.is_in_the_images,
        )


class Retried(Answer):
    """What another try came to."""

    images: int = Field(description="Quarantined images that are pending again.")
    skipped_slides: int = Field(description="Signed slides with quarantined images, which were left alone.")
    skipped_images: int = Field(description="Quarantined images of those slides.")
    reopened_slides: int = Field(description="Signed slides that were reopened.")

    @classmethod
    def of(cls, done: RetryResult) -> Self:
        """Show what another try came to."""
        return cls(
            images=done.images,
            skipped_slides=done.skipped_slides,
            skipped_images=done.skipped_images,
            reopened_slides=done.reopened_slides,
        )


class RetryQuestion(Question):
    """Which quarantined images get another try."""

    slide_id: Id | None = Field(default=None, description="Those of this slide; null for all.")
    reopen_reason: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)] | None = Field(
        default=None,
        description="Why signed slides are reopened for it, by the reviewer who asks; null leaves signed slides alone.",
        examples=["the share was not readable"],
    )
