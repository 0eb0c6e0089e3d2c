"""What people say of cells, as plain frozen records."""

from dataclasses import dataclass
from datetime import datetime

from smearcount.differential.classes import ReviewClass


@dataclass(frozen=True, slots=True)
class Change:
    """What a reviewer wants to call an image."""

    image_id: int
    #: None goes back to the automatic call.
    cell_class: ReviewClass | None
    #: The newest review of the image that the reviewer saw; None if there was none.
    seen_review_id: int | None


@dataclass(frozen=True, slots=True)
class Review:
    """What one person said of one image."""

    id: int
    #: Reviews that were stored in one go have the same action.
    action: str
    image_id: int
    slide_id: int
    #: None went back to the automatic call.
    cell_class: ReviewClass | None
    #: What the image counted as before.
    was: ReviewClass
    #: What the image counted as from then on.
    became: ReviewClass
    reviewer: str
    reason: str | None
    #: UTC.
    reviewed_at: datetime
    #: The review that this one took back; None if it took back none.
    undoes: int | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """What other people said of an image since a reviewer looked at it, oldest first; never empty."""

    image_id: int
    reviews: tuple[Review, ...]
