"""Lists in pages, as JSON or CSV: the parameters of their queries, and the parts of an answer beside the rows."""

from enum import StrEnum
from typing import Any, Final

from fastapi import Request, Response
from pydantic import Field

from smearcount.differential.forms.spreadsheet import for_excel
from smearcount.web.links import prefix
from smearcount.web.schemas.base import Question

CSV_TYPE: Final = "text/csv"


class Format(StrEnum):
    """How a list is written."""

    JSON = "json"
    CSV = "csv"
    CSV_EXCEL = "csv-excel"

    @property
    def is_csv(self) -> bool:
        """Whether the list is written as CSV, for whomever."""
        return self is not Format.JSON


class FormatQuery(Question):
    """How a table is written; a parameter that is not known is refused."""

    format: Format = Field(
        default=Format.JSON,
        description="`csv` for a program or a spreadsheet: what it would run as a formula begins with `'`. `csv-excel` "
        "begins with the mark by which Excel knows UTF-8.",
    )


class PageQuery(FormatQuery):
    """Which page of a list is wanted."""

    after: str | None = Field(
        default=None, max_length=1000, description="`next` of the page before; leave it out for the first page."
    )
    limit: int = Field(default=200, ge=1, le=1000, description="Most lines on the page.")


#: OpenAPI description of an operation that also answers with CSV.
ALSO_CSV: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "JSON, or CSV where asked for.",
        "content": {CSV_TYPE: {"schema": {"type": "string"}}},
        "headers": {"Link": {"description": 'The next page as a URL, with rel="next".', "schema": {"type": "string"}}},
    }
}


def csv_answer(text: str, *, name: str, form: Format) -> Response:
    """Return a table as a CSV file; `name` must not come from a slide or file."""
    return Response(
        for_excel(text) if form is Format.CSV_EXCEL else text,
        media_type=f"{CSV_TYPE}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def link_next(request: Request, response: Response, after: str | None) -> None:
    """Put the URL of the next page, relative to this server, into the header Link (RFC 8288)."""
    if after is not None:
        url = request.url.include_query_params(after=after)
        response.headers["Link"] = f'<{prefix()}{url.path}?{url.query}>; rel="next"'
