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


@dataclass(frozen=True, slots=True)
class ImageChanges:
    """How the images of a slide have changed since a person saw its result."""

    #: Ids of images that are counted now and were not.
    added: tuple[int, ...]
    #: Number of images that were counted and are no more.
    gone: int
    #: Their ids; empty where it cannot be told which.
    gone_ids: tuple[int, ...]
    #: Number of files that came since and are not counted: quarantined ones and duplicates.
    others: int
    #: Ids of images that another model has called since.
    called_anew: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ResultChange:
    """How the result of a slide has changed since a person saw it."""

    images: ImageChanges
    #: What other people said since, image by image.
    reviews: tuple[Conflict, ...]

    @property
    def is_in_the_images(self) -> bool:
        """Whether images or reviews explain the change; if they do not, the site's settings were changed."""
        images = self.images
        return bool(images.added or images.gone or images.others or images.called_anew or self.reviews)
