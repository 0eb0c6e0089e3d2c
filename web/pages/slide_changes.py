"""What a slide's page sends when a person changes something.

Each route does what the API's route of that name does, but answers with the update of the page, so that the page shows
the change, and whatever others did meanwhile, without asking again.
"""

from typing import Annotated

from fastapi import APIRouter, Query, status

from smearcount.db.review.reviews import reclassify, undo
from smearcount.db.review.sign_off import comment, reopen, sign
from smearcount.web.api.slides import SlideId
from smearcount.web.dependencies import TheCountSettings, TheDatabase, ThePerson, TheReviewer
from smearcount.web.pages.parts.slide_update import SlideUpdate, slide_update
from smearcount.web.schemas.base import LARGEST_ID
from smearcount.web.schemas.reviews import CommentQuestion, ReopenQuestion, ReviewQuestion, SignQuestion

router = APIRouter(prefix="/slides/{slide_id}", include_in_schema=False)

#: The newest review that the page knows; 0 for none.
SeenReview = Annotated[int, Query(alias="seen", ge=0, le=LARGEST_ID)]


@router.post("/reviews", status_code=status.HTTP_201_CREATED)
def review_cells(
    slide_id: SlideId,
    question: ReviewQuestion,
    reviewer: TheReviewer,
    person: ThePerson,
    database: TheDatabase,
    settings: TheCountSettings,
    seen: SeenReview = 0,
) -> SlideUpdate:
    """Reclassify cells."""
    changes = [change.change() for change in question.changes]
    reviews = reclassify(database, changes, reviewer=reviewer, reason=question.reason)
    return slide_update(database, slide_id, settings, person, seen_review=seen, action=reviews[0].action)


@router.post("/undo", status_code=status.HTTP_201_CREATED)
def undo_last_action(
    slide_id: SlideId,
    reviewer: TheReviewer,
    person: ThePerson,
    database: TheDatabase,
    settings: TheCountSettings,
    seen: SeenReview = 0,
) -> SlideUpdate:
    """Take back the reviewer's last action on the slide."""
    reviews = undo(database, slide_id, reviewer=reviewer)
    action = reviews[0].action if reviews else None
    return slide_update(database, slide_id, settings, person, seen_review=seen, action=action)


@router.post("/comments", status_code=status.HTTP_201_CREATED)
def add_comment(
    slide_id: SlideId,
    question: CommentQuestion,
    reviewer: TheReviewer,
    person: ThePerson,
    database: TheDatabase,
    settings: TheCountSettings,
    seen: SeenReview = 0,
) -> SlideUpdate:
    """Comment on the slide."""
    comment(database, slide_id, reviewer=reviewer, text=question.text)
    return slide_update(database, slide_id, settings, person, seen_review=seen)


@router.post("/sign-off", status_code=status.HTTP_201_CREATED)
def sign_off(
    slide_id: SlideId,
    question: SignQuestion,
    reviewer: TheReviewer,
    person: ThePerson,
    database: TheDatabase,
    settings: TheCountSettings,
    seen: SeenReview = 0,
) -> SlideUpdate:
    """Sign the slide."""
    sign(database, slide_id, reviewer=reviewer, comment=question.comment, seen_review_id=question.seen_review)
    return slide_update(database, slide_id, settings, person, seen_review=seen)


@router.post("/reopen", status_code=status.HTTP_201_CREATED)
def reopen_slide(
    slide_id: SlideId,
    question: ReopenQuestion,
    reviewer: TheReviewer,
    person: ThePerson,
    database: TheDatabase,
    settings: TheCountSettings,
    seen: SeenReview = 0,
) -> SlideUpdate:
    """Reopen a signed slide."""
    reopen(database, slide_id, reviewer=reviewer, reason=question.reason)
    return slide_update(database, slide_id, settings, person, seen_review=seen)
