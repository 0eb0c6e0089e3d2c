"""Routes for what people decide: reclassify, undo, bring back, comment, sign, reopen, withdraw, restore."""

from collections.abc import Sequence

from fastapi import APIRouter, status

from smearcount.db.engine.database import Database
from smearcount.db.queries.slides import SlideFilter, slide, slide_page
from smearcount.db.review.lost_calls import bring_back, lost_calls
from smearcount.db.review.records import Review
from smearcount.db.review.reviews import reclassify, undo
from smearcount.db.review.sign_off import comment, reopen, slide_events
from smearcount.db.review.withdrawal import restore, withdraw
from smearcount.db.signing.signing import sign
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import SigningRules
from smearcount.web.api.slides import SlideId
from smearcount.web.dependencies import TheCountSettings, TheDatabase, TheReviewer, TheSigningRules
from smearcount.web.problems import described
from smearcount.web.schemas.reviews import (
    CommentQuestion,
    ReopenQuestion,
    ReviewAnswer,
    Reviewed,
    ReviewQuestion,
    SignQuestion,
    WithdrawQuestion,
)
from smearcount.web.schemas.slides import DifferentialAnswer, SlideDetail

router = APIRouter(
    tags=["review"], responses=described("bad-name", "not-allowed", "csrf", "foreign-origin", "review-refused")
)


@router.post(
    "/reviews",
    summary="Reclassify cells",
    status_code=status.HTTP_201_CREATED,
    responses=described("review-conflict", "signed", "review-refused", "unknown-cell"),
)
def review(
    question: ReviewQuestion, reviewer: TheReviewer, database: TheDatabase, settings: TheCountSettings
) -> Reviewed:
    """Say what one or many cells are, all or nothing; the model's calls stay as they are beside it.

    Each change names the newest review of the cell that the reviewer saw. Where somebody else was faster, nothing is
    written, and the answer is 409 with `conflicts`: who made it what, when, and what it was before.
    """
    changes = [change.change() for change in question.changes]
    done = reclassify(database, changes, reviewer=reviewer, reason=question.reason)
    return _reviewed(database, settings, done)


@router.post(
    "/slides/{slide_id}/undo",
    summary="Undo",
    status_code=status.HTTP_201_CREATED,
    responses=described("review-conflict", "signed", "review-refused", "unknown-slide"),
)
def take_back(slide_id: SlideId, reviewer: TheReviewer, database: TheDatabase, settings: TheCountSettings) -> Reviewed:
    """Take back the last thing that this reviewer did to the slide's cells and has not taken back yet.

    It is a new review that restores what was before; nothing is removed. If somebody else has called one of these cells
    since, nothing is written and the answer is 409.
    """
    return _reviewed(database, settings, undo(database, slide_id, reviewer=reviewer))


@router.post(
    "/slides/{slide_id}/comments",
    summary="Comment on a slide",
    status_code=status.HTTP_201_CREATED,
    responses=described("unknown-slide", "review-refused"),
)
def add_comment(
    slide_id: SlideId,
    question: CommentQuestion,
    reviewer: TheReviewer,
    database: TheDatabase,
    rules: TheSigningRules,
) -> SlideDetail:
    """Note something about a slide, signed or not."""
    comment(database, slide_id, reviewer=reviewer, text=question.text)
    return _slide(database, rules, slide_id)


@router.post(
    "/slides/{slide_id}/sign-off",
    summary="Sign a slide",
    status_code=status.HTTP_201_CREATED,
    responses=described(
        "unknown-slide", "signed", "result-changed", "review-conflict", "signature-hindered", "review-refused"
    ),
)
def sign_off(
    slide_id: SlideId,
    question: SignQuestion,
    reviewer: TheReviewer,
    database: TheDatabase,
    rules: TheSigningRules,
) -> SlideDetail:
    """Sign a complete slide: its result is final, and its cells cannot be reclassified until it is reopened.

    It signs the result that `seen_digest` names, and keeps it: later exports tell the result as it was signed, whatever
    happens to settings and models. Where the result is another one by now, the answer is 409 with `changed` and `conflicts`;
    where something stands in the way that is refused or not acknowledged, 409 with `obstacles`. An image that arrives or
    changes afterwards ends the signature; the slide then needs signing again, and its events say what came.
    """
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
    return _slide(database, rules, slide_id)


@router.post(
    "/slides/{slide_id}/reopen",
    summary="Reopen a signed slide",
    status_code=status.HTTP_201_CREATED,
    responses=described("unknown-slide", "review-refused"),
)
def take_back_signature(
    slide_id: SlideId,
    question: ReopenQuestion,
    reviewer: TheReviewer,
    database: TheDatabase,
    rules: TheSigningRules,
) -> SlideDetail:
    """Take the signature back, saying why, so that cells can be reclassified again."""
    reopen(database, slide_id, reviewer=reviewer, reason=question.reason)
    return _slide(database, rules, slide_id)


@router.post(
    "/slides/{slide_id}/bring-back",
    summary="Bring calls back",
    status_code=status.HTTP_201_CREATED,
    responses=described("review-conflict", "signed", "review-refused", "unknown-slide"),
)
def bring_calls_back(
    slide_id: SlideId, reviewer: TheReviewer, database: TheDatabase, settings: TheCountSettings
) -> Reviewed:
    """Give the slide's `lost_calls` to the cells that have the very same bytes (`same_picture`), in one action.

    These are new reviews in the name of the person who asks; the reason names who called the pictures before.
    """
    return _reviewed(database, settings, bring_back(database, slide_id, reviewer=reviewer))


@router.post(
    "/slides/{slide_id}/withdraw",
    summary="Withdraw a slide",
    status_code=status.HTTP_201_CREATED,
    responses=described("unknown-slide", "review-refused"),
)
def withdraw_slide(
    slide_id: SlideId,
    question: WithdrawQuestion,
    reviewer: TheReviewer,
    database: TheDatabase,
    rules: TheSigningRules,
) -> SlideDetail:
    """Leave a slide out of lists, exports and totals, saying why; it is kept, and can be restored.

    It is for slides that should never have been counted, such as a second export under a misspelt name.
    """
    withdraw(database, slide_id, reviewer=reviewer, reason=question.reason)
    return _slide(database, rules, slide_id)


@router.post(
    "/slides/{slide_id}/restore",
    summary="Restore a withdrawn slide",
    status_code=status.HTTP_201_CREATED,
    responses=described("unknown-slide", "review-refused"),
)
def restore_slide(
    slide_id: SlideId,
    question: WithdrawQuestion,
    reviewer: TheReviewer,
    database: TheDatabase,
    rules: TheSigningRules,
) -> SlideDetail:
    """Take a withdrawal back, saying why: the slide counts again, as it did before."""
    restore(database, slide_id, reviewer=reviewer, reason=question.reason)
    return _slide(database, rules, slide_id)


def _reviewed(database: Database, settings: CountSettings, reviews: Sequence[Review]) -> Reviewed:
    slide_ids = sorted({one.slide_id for one in reviews})
    page = slide_page(database, SlideFilter(ids=slide_ids), limit=max(len(slide_ids), 1))
    return Reviewed(
        reviews=[ReviewAnswer.of(one) for one in reviews],
        differentials=[DifferentialAnswer.of(one, settings) for one in page.slides],
    )


def _slide(database: Database, rules: SigningRules, slide_id: int) -> SlideDetail:
    found = slide(database, slide_id)
    return SlideDetail.made(found, rules, slide_events(database, slide_id), lost_calls(database, slide_id))
