"""Adds the pages to the application."""

from typing import Final

from fastapi import FastAPI

from smearcount.web.pages import (
    api_docs,
    assets,
    cell,
    deliveries,
    help,  # noqa: A004 (a page of that name)
    login,
    rendering,
    slide,
    slide_changes,
    slides,
    system,
    trends,
)
from smearcount.web.pages.error import error_page

#: The modules of what a browser opens or reads.
MODULES: Final = (slides, slide, cell, deliveries, trends, system, login, help, api_docs)


def install(application: FastAPI) -> None:
    """Serve the pages and their static files, and show browsers a page for every error."""
    rendering.prepare()
    for module in MODULES:
        application.include_router(module.router)
    application.include_router(slide_changes.router)
    application.mount(assets.prefix(), assets.Assets(), name="static")
    application.state.error_page = error_page
