"""How far a slide has come: whether more images of it are to come, and whether a person answers for the count.

These are two facts. A tally knows only the first one and can change by itself while that is `counting`. The second one takes
the signatures, so `Status` is made from both, here alone. Only a signed slide is a result that a person answers for.
"""

from enum import StrEnum

# The API describes itself with the names and the docstrings of both classes.


class SlideStatus(StrEnum):
    """Whether more is to come."""

    COUNTING = "counting"
    COMPLETE = "complete"


class Status(StrEnum):
    """How far a slide is; whatever is signed was complete before."""

    COUNTING = "counting"
    COMPLETE = "complete"
    SIGNED = "signed"

    @staticmethod
    def of(counted: SlideStatus, *, is_signed: bool) -> "Status":
        """Return the status of a slide, from that of its tally and whether a signature of the slide holds."""
        return Status.SIGNED if is_signed else Status(counted.value)
