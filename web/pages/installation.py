"""Adding the pages to the application."""

from typing import Final

from fastapi import FastAPI

from smearcount.web.pages import (
    assets,
    cell,
    help,  # noqa: A004 (a page of that name)
    login,
    rendering,
    slide,
    slides,
    system,
    trends,
)
from smearcount.web.pages.errors import error_page

MODULES: Final = (slides, slide, cell, trends, system, login, help)


def install(application: FastAPI) -> None:
    """Serve the pages, what they are made of, and a page for every error that a browser meets."""
    rendering.prepare()
    for module in MODULES:
        application.include_router(module.router)
    application.mount(assets.prefix(), assets.Assets(), name="static")
    application.state.error_page = error_page
