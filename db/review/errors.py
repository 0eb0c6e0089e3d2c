"""Why a review, a signature or a comment is not stored."""

from collections.abc import Iterator, Sequence

from smearcount.db.errors import DatabaseError
from smearcount.db.review.records import Conflict, ResultChange
from smearcount.differential.flags import number_of
from smearcount.differential.signing.policy import Obstacle, Policy


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


class ResultChanged(DatabaseError):
    """The slide's result is not the one that the person saw; nothing was signed."""

    def __init__(self, change: ResultChange) -> None:
        """Describe what has changed."""
        self.change = change
        what = ", ".join(_parts(change)) or "the site's settings of the differential were changed"
        super().__init__(f"the result changed since you looked at it: {what}; nothing was signed, look again")


class SignatureHindered(DatabaseError):
    """Something stands in the way of the signature; nothing was signed."""

    def __init__(self, obstacles: Sequence[Obstacle], hindrances: Sequence[Obstacle]) -> None:
        """Describe what stands in the way.

        Args:
            obstacles: everything that stands in the way, whether or not it was acknowledged.
            hindrances: those of them because of which nothing was signed; at least one.
        """
        self.obstacles = tuple(obstacles)
        refused = [one.message for one in hindrances if one.policy is Policy.REFUSED]
        if refused:
            message = f"{'; '.join(refused)}: this site signs no such slide"
        else:
            codes = ", ".join(one.code for one in hindrances)
            message = f"{'; '.join(one.message for one in hindrances)}: acknowledge it ({codes}) to sign"
        super().__init__(message)


def _parts(change: ResultChange) -> Iterator[str]:
    images = change.images
    if images.added:
        yield f"{number_of(len(images.added), 'image')} added"
    if images.gone:
        yield f"{number_of(images.gone, 'image')} gone"
    if images.others:
        yield f"{number_of(images.others, 'file')} came that {'is' if images.others == 1 else 'are'} not counted"
    if images.called_anew:
        yield f"{number_of(len(images.called_anew), 'image')} called by another model"
    if change.reviews:
        people = sorted({review.reviewer for conflict in change.reviews for review in conflict.reviews})
        yield f"{number_of(len(change.reviews), 'call')} changed by {', '.join(people)}"
