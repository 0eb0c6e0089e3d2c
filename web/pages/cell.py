"""The page of one cell: its picture, the model's call and the reviews."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from smearcount.db.queries.cells import cell
from smearcount.db.review.history import history
from smearcount.db.schema import ImageState
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.web.api.cells import CellId
from smearcount.web.dependencies import TheDatabase
from smearcount.web.pages.page_auth import LoggedInPerson
from smearcount.web.pages.parts.labels import CLASSES
from smearcount.web.pages.rendering import page

router = APIRouter(include_in_schema=False)

_WITH_PICTURE = (ImageState.DONE, ImageState.DUPLICATE)


@router.get("/cells/{cell_id}")
def show_cell(request: Request, cell_id: CellId, person: LoggedInPerson, database: TheDatabase) -> HTMLResponse:
    """Show a cell; the slide's page shows this page's content in a dialog."""
    found = cell(database, cell_id)
    call = found.automatic
    # The likeliest class first, so that the runner-up stands beside the model's call.
    likely = sorted(call.probabilities.items(), key=lambda item: -item[1]) if call is not None else []
    return page(
        request,
        "cell.html",
        person,
        cell=found,
        probabilities=[(CLASSES[_code(cell_class)], probability) for cell_class, probability in likely],
        reviews=history(database, cell_id),
        has_picture=found.state in _WITH_PICTURE,
    )


def _code(cell_class: CellClass) -> ReviewClass:
    return ReviewClass(cell_class.value)
