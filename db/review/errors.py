"""Why a review, a signature or a comment is not stored."""

from collections.abc import Sequence

from smearcount.db.errors import DatabaseError
from smearcount.db.review.records import Conflict


class ReviewRefused(DatabaseError):
    """The request makes no sense for the slide or image as it is; the message says why."""


class SlideSigned(ReviewRefused):
    """The slide is signed; it must be reopened before anything about it changes."""


class ReviewConflict(DatabaseError):
    """Another person was faster; nothing was written."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        """Describe what happened to each image.

        Args:
            conflicts: one for each image that another person called; at least one.
        """
        self.conflicts = tuple(conflicts)
        latest = max((conflict.reviews[-1] for conflict in self.conflicts), key=lambda review: review.id)
        others = f" and {len(self.conflicts) - 1} more" if len(self.conflicts) > 1 else ""
        super().__init__(
            f"image {latest.image_id}{others} changed meanwhile: {latest.reviewer} made it {latest.became} "
            f"(it was {latest.was}); nothing was written, look again and repeat what still applies"
        )
