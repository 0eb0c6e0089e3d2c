"""Renders pages from templates: every value is escaped, and a name without a value is an error."""

from pathlib import Path
from typing import Any, Final

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from smearcount.differential.forms.wording import RESEARCH_USE, distinct
from smearcount.inbox.ignoring import kinds_text
from smearcount.web.auth.access import Access, Person
from smearcount.web.links import prefix, with_prefix
from smearcount.web.pages import assets
from smearcount.web.pages.parts import labels
from smearcount.web.services import Services

#: The pages in the navigation: path and name.
NAVIGATION: Final = (
    ("/", "Slides"),
    ("/trends", "Trends"),
    ("/deliveries", "Deliveries"),
    ("/system", "System"),
    ("/help", "Help"),
)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        name: getattr(labels, name)
        for name in ("percent", "share", "bounds", "reference", "number", "signed", "counted", "moment")
    } | {"distinct": distinct, "kinds": kinds_text}
    environment.globals |= {
        "static": assets.prefix(),
        "navigation": NAVIGATION,
        "research_use": RESEARCH_USE,
        "classes": labels.CLASSES,
        "status_labels": labels.STATUS_LABELS,
    }
    return environment


_ENVIRONMENT: Final = _environment()


def prepare() -> None:
    """Read and compile all templates, so that a mistake shows when the server starts, and no page waits."""
    for name in _ENVIRONMENT.list_templates():
        _ENVIRONMENT.get_template(name)


def fill(template: str, **values: Any) -> str:
    """Return a part of a page."""
    return with_prefix(_ENVIRONMENT.get_template(template).render(values))


def page(request: Request, template: str, person: Person | None, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a whole page for the person who asks; `person` is None if they have not logged in."""
    state = request.app.state
    services, access = state.services, state.access
    assert isinstance(services, Services)  # noqa: S101 (for the type checker: make_application sets it)
    assert isinstance(access, Access)  # noqa: S101 (for the type checker: make_application sets it)
    common = {
        "path": request.url.path,
        "prefix": prefix(),
        "person": person,
        "is_open": access.is_open,
        "reviewers": services.settings.web_reviewers if access.is_open else (),
        "version": services.version,
    }
    return HTMLResponse(fill(template, **(common | values)), status_code=status)
