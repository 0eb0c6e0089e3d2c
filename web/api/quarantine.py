"""Routes of the quarantined files of all slides: the list, and another try for them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from smearcount.db.ingest.retry import Reopening, retry
from smearcount.db.queries.quarantine import quarantined
from smearcount.differential.forms.spreadsheet import csv_text
from smearcount.web.dependencies import TheDatabase, TheReviewer, person
from smearcount.web.problems import described
from smearcount.web.schemas.cells import QUARANTINED_COLUMNS, QuarantinedAnswer, QuarantinedList, quarantined_rows
from smearcount.web.schemas.reviews import Retried, RetryQuestion
from smearcount.web.schemas.tables import ALSO_CSV, PageQuery, csv_answer, link_next

router = APIRouter(tags=["quarantine"])


@router.get(
    "/quarantined",
    summary="Files that could not be used",
    dependencies=[Depends(person)],
    responses={**ALSO_CSV, **described("unknown-page")},
    response_model=QuarantinedList,
)
def list_quarantined(
    request: Request,
    response: Response,
    database: TheDatabase,
    query: Annotated[PageQuery, Query()],
) -> QuarantinedList | Response:
    """List the quarantined files of all slides, and those of which no slide could be told, newest first."""
    page = quarantined(database, after=query.after, limit=query.limit)
    if query.format.is_csv:
        answer = csv_answer(
            csv_text(QUARANTINED_COLUMNS, quarantined_rows(page.files)), name="quarantined", form=query.format
        )
        link_next(request, answer, page.next)
        return answer
    link_next(request, response, page.next)
    return QuarantinedList(files=[QuarantinedAnswer.of(file) for file in page.files], next=page.next)


@router.post(
    "/retry",
    summary="Try quarantined files again",
    responses=described("bad-name", "not-allowed", "csrf", "foreign-origin", "unknown-slide", "review-refused"),
)
def retry_quarantined(question: RetryQuestion, reviewer: TheReviewer, database: TheDatabase) -> Retried:
    """Give the quarantined files of a slide, or of all slides, another try; the running watcher queues them.

    Signed slides are left alone, and the answer says how many, unless `reopen_reason` says why they are reopened. Files of
    which no slide could be told stay: the watcher looks at them again whenever it starts.
    """
    reopening = None if question.reopen_reason is None else Reopening(reviewer, question.reopen_reason)
    return Retried.of(retry(database, slide_id=question.slide_id, reopening=reopening))
