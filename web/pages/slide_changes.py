"""What a slide's page sends when a person changes something.

Each route does what the API's route of that name does, but answers with the update of the page, so that the page shows
the change, and whatever others did meanwhile, without asking again.
"""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query, status

from smearcount.db.review.lost_calls import bring_back
from smearcount.db.review.reviews import reclassify, undo
from smearcount.db.review.sign_off import comment, reopen
from smearcount.db.review.withdrawal import restore, withdraw
from smearcount.db.signing.signing import sign
from smearcount.web.api.slides import SlideId
from smearcount.web.dependencies import TheDatabase, ThePerson, TheReviewer, TheSigningRules
from smearcount.web.pages.parts.slide_update import SlideUpdate, slide_update
from smearcount.web.schemas.base import LARGEST_ID
from smearcount.web.schemas.reviews import (
    CommentQuestion,
    ReopenQuestion,
    ReviewQuestion,
    SignQuestion,
    WithdrawQuestion,
)

router = APIRouter(prefix="/slides/{slide_id}", include_in_schema=False)

#: The newest review that the page knows; 0 for none.
SeenReview = Annotated[int, Query(alias="seen", ge=0, le=LARGEST_ID)]


class PageUpdates(Protocol):
    """Makes the update of the page that sends a change."""

    def __call__(self, action: str | None = None) -> SlideUpdate:
        """Return the update, read now; `action` is that of the reviews that the change made."""
        ...


def page_updates(
    slide_id: SlideId, database: TheDatabase, rules: TheSigningRules, person: ThePerson, seen: SeenReview = 0
) -> PageUpdates:
    """Return what makes the update of the page that sends this request."""

    def updated(action: str | None = None) -> SlideUpdate:
        return slide_update(database, slide_id, rules, person, seen_review=seen, action=action)

    return updated


Updated = Annotated[PageUpdates, Depends(page_updates)]


@router.post("/reviews", status_code=status.HTTP_201_CREATED)
def review_cells(
    question: ReviewQuestion,
    reviewer: TheReviewer,
    database: TheDatabase,
    updated: Updated,
) -> SlideUpdate:
    """Reclassify cells."""
    changes = [change.change() for change in question.changes]
    reviews = reclassify(database, changes, reviewer=reviewer, reason=question.reason)
    return updated(reviews[0].action)


@router.post("/undo", status_code=status.HTTP_201_CREATED)
def undo_last_action(
    slide_id: SlideId,
    reviewer: TheReviewer,
    database: TheDatabase,
    updated: Updated,
) -> SlideUpdate:
    """Take back the reviewer's last action on the slide."""
    reviews = undo(database, slide_id, reviewer=reviewer)
    action = reviews[0].action if reviews else None
    return updated(action)


@router.post("/comments", status_code=status.HTTP_201_CREATED)
def add_comment(
    slide_id: SlideId,
    question: CommentQuestion,
    reviewer: TheReviewer,
    database: TheDatabase,
    updated: Updated,
) -> SlideUpdate:
    """Comment on the slide."""
    comment(database, slide_id, reviewer=reviewer, text=question.text)
    return updated()


@router.post("/sign-off", status_code=status.HTTP_201_CREATED)
def sign_off(
    slide_id: SlideId,
    question: SignQuestion,
    reviewer: TheReviewer,
    database: TheDatabase,
    rules: TheSigningRules,
    updated: Updated,
) -> SlideUpdate:
    """Sign the slide."""
    sign(
        database,
        slide_id,
        reviewer=reviewer,
        rules=rules,
        comment=question.comment,
        seen=question.seen_digest,
        seen_review_id=question.seen_review,
        acknowledged=question.acknowledged,
    )
    return updated()


@router.post("/reopen", status_code=status.HTTP_201_CREATED)
def reopen_slide(
    slide_id: SlideId,
    question: ReopenQuestion,
    reviewer: TheReviewer,
    database: TheDatabase,
    updated: Updated,
) -> SlideUpdate:
    """Reopen a signed slide."""
    reopen(database, slide_id, reviewer=reviewer, reason=question.reason)
    return updated()


@router.post("/bring-back", status_code=status.HTTP_201_CREATED)
def bring_calls_back(slide_id: SlideId, reviewer: TheReviewer, database: TheDatabase, updated: Updated) -> SlideUpdate:
    """Give lost calls to the cells that have the same bytes."""
    return updated(bring_back(database, slide_id, reviewer=reviewer)[0].action)


@router.post("/withdraw", status_code=status.HTTP_201_CREATED)
def withdraw_slide(
    slide_id: SlideId,
    question: WithdrawQuestion,
    reviewer: TheReviewer,
    database: TheDatabase,
    updated: Updated,
) -> SlideUpdate:
    """Withdraw the slide."""
    withdraw(database, slide_id, reviewer=reviewer, reason=question.reason)
    return updated()


@router.post("/restore", status_code=status.HTTP_201_CREATED)
def restore_slide(
    slide_id: SlideId,
    question: WithdrawQuestion,
    reviewer: TheReviewer,
    database: TheDatabase,
    updated: Updated,
) -> SlideUpdate:
    """Restore the withdrawn slide."""
    restore(database, slide_id, reviewer=reviewer, reason=question.reason)
    return updated()
