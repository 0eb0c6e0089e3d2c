"""What becomes of errors that are neither the database's nor unforeseen."""

from collections.abc import Mapping
from typing import Final

from smearcount.db.errors import UnknownImage, UnknownPage
from smearcount.db.review.reviews import ReviewConflict, ReviewRefused, SlideSigned
from smearcount.differential.errors import SmearcountError
from smearcount.web.errors import UsersInvalid
from smearcount.web.problems import Problem, Translation
from smearcount.web.schemas.reviews import ConflictAnswer


def _conflict(error: ReviewConflict) -> Problem:
    conflicts = [ConflictAnswer.of(conflict).model_dump(mode="json") for conflict in error.conflicts]
    return Problem("review-conflict", str(error), {"conflicts": conflicts})


TRANSLATIONS: Final[Mapping[type[SmearcountError], Translation]] = {
    # Its message names the file: for the operator, who sees it when the server starts or a user is added.
    UsersInvalid: lambda _: Problem(
        "failed", "the users cannot be read just now; the operator must restore their file"
    ),
    UnknownImage: lambda error: Problem("unknown-cell", str(error)),
    UnknownPage: lambda error: Problem("unknown-page", str(error)),
    SlideSigned: lambda error: Problem("signed", str(error)),
    ReviewRefused: lambda error: Problem("review-refused", str(error)),
    ReviewConflict: _conflict,
}
