"""Settings of the documentation site, which Sphinx builds from the Markdown files as they lie in the repository.

`make docs` calls it with the repository's root as the source folder. The files link to each other by relative paths, so they read
the same in the repository. What only the site needs, the tables of contents, is added here.
"""

import tomllib
from pathlib import Path

from sphinx.application import Sphinx

_ABOUT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _ABOUT["name"]
release = version = _ABOUT["version"]
html_title = f"{project} {release}"

extensions = ["myst_parser"]
root_doc = "README"
include_patterns = [
    "*.md",
    "docs/**.md",
    "models/weights/README.md",
    "requirements/README.md",
]
# Folders that are left out as a whole, so that Sphinx does not go through virtual environments.
exclude_patterns = [".*", "site", "build", "exports", "runs", "tests"]

#: Headings down to this level can be linked to, by the names that GitHub gives them.
myst_heading_anchors = 4

html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
highlight_language = "none"
# Some examples are of languages that Pygments does not know, or leave parts out by "...".
suppress_warnings = ["misc.highlighting_failure"]

#: Tables of contents, by the page that they are added to: captions with the pages below them.
_CONTENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "README": {
        "Use": ("docs/reference", "docs/exports", "docs/delivery"),
        "Operate": ("docs/deployment", "docs/runbook", "docs/hardening", "docs/faults"),
        "Carry on": (
            "CONTRIBUTING",
            "docs/architecture",
            "docs/decisions/index",
            "models/weights/README",
            "requirements/README",
        ),
        "Project": ("CHANGELOG", "SECURITY"),
    },
    "docs/decisions/index": {"": ("docs/decisions/0*",)},
}


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:  # noqa: ARG001 (Sphinx's signature)
    """Add the tables of contents to the end of a page's text."""
    for caption, pages in _CONTENTS.get(page, {}).items():
        options = [":hidden:", ":glob:", *([f":caption: {caption}"] if caption else [])]
        source[0] += "\n".join(["\n", "```{toctree}", *options, "", *(f"/{name}" for name in pages), "```", ""])


def add_start_page(app: Sphinx, failure: Exception | None) -> None:
    """Write an index.html, which browsers and servers open first, that leads to the README."""
    if failure is None:
        page = f'<!doctype html><title>{project}</title><meta http-equiv="refresh" content="0; url=README.html">'
        (Path(app.outdir) / "index.html").write_text(page + '<a href="README.html">README</a>\n', encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the two functions above."""
    app.connect("source-read", add_contents)
    app.connect("build-finished", add_start_page)
    return {"parallel_read_safe": True}
