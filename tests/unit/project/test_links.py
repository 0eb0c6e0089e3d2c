"""Every relative link, anchor and path of a module in the Markdown files leads somewhere, and the site builds strictly."""

import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

#: Folders that hold no text of ours: virtual environments, caches, what is built, the exports, runs of training.
_NOT_OURS = {"site", "build", "dist", "exports", "runs", "node_modules"}

_FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?: {4,}[^\n]*\n+)+")
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *#* *$", re.MULTILINE)
#: A path in backticks of a file in one of the rooms or beside them, such as `db/schema.py`.
_PATH = re.compile(r"`(?P<path>(?:[a-z_]+/)+[a-z0-9_.-]+\.(?:py|md|yml|json|toml|txt))`")


def pages() -> list[Path]:
    """Return all Markdown files of the repository."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in _NOT_OURS and (name[0] != "." or name == ".github")]
        found += [Path(folder, name) for name in names if name.endswith(".md")]
    return sorted(found)


def _named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def without_code_blocks(page: Path) -> str:
    """Return the text of a page; what stands in code blocks is no link and no heading."""
    return _INDENTED.sub("\n", _FENCE.sub("", page.read_text(encoding="utf-8")))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the names of a page's headings as GitHub makes them: lower case, hyphens for spaces, no punctuation."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.finditer(without_code_blocks(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading["text"].lower())
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return frozenset(found)


def dead_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    dead = []
    for link in _LINK.finditer(_CODE.sub("``", without_code_blocks(page))):
        path, _, anchor = link["target"].partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        is_dead = not target.exists() or (anchor and (target.suffix != ".md" or anchor not in anchors(target)))
        dead += [link["target"]] if is_dead else []
    return dead


@pytest.mark.parametrize("page", pages(), ids=_named)
def test_every_relative_link_and_anchor_leads_somewhere(page: Path) -> None:
    assert dead_links(page) == []


@pytest.mark.parametrize("page", pages(), ids=_named)
def test_every_file_that_is_named_exists(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # names what is gone, too
    named = {found["path"] for found in _PATH.finditer(without_code_blocks(page))}
    assert not {path for path in named if not (ROOT / path).exists() and not (page.parent / path).exists()}


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `name`, and more\n\n## Twice\n\n## Twice\n\n[a](#a-name-and-more) [b](#twice-1) [c](page.md#twice) [d](other:x#y)\n"
        "[gone](gone.md) [no such](#twice-2) [`code`](page.md#none) `[not](a-link.md)`\n\n    [in](a-block.md)\n\nend\n"
    )

    assert dead_links(page) == ["gone.md", "#twice-2", "page.md#none"]


def test_every_page_of_the_documentation_is_part_of_the_site() -> None:
    settings = (ROOT / "docs" / "conf.py").read_text()
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        assert f'"{page.relative_to(ROOT).with_suffix("")}"' in settings, page


def test_the_site_builds_strictly_and_loads_nothing_from_others(tmp_path: Path) -> None:
    python = ROOT / ".venv-docs" / "bin" / "python"
    if find_spec("sphinx") and find_spec("myst_parser") and find_spec("furo"):
        python = Path(sys.executable)
    if not python.exists():
        pytest.skip(
            "the tools that build the site are not installed; `make docs` installs them, and builds as strictly"
        )
    site = tmp_path / "site"
    options = [
        "--quiet",
        "--fail-on-warning",
        "--keep-going",
        "--doctree-dir",
        str(tmp_path / "doctrees"),
        "--conf-dir",
        "docs",
    ]

    built = subprocess.run(
        [str(python), "-m", "sphinx", *options, ".", str(site)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert built.returncode == 0, built.stderr
    assert (site / "index.html").exists()
    for page in site.rglob("*.html"):
        loads = re.findall(r"<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=\"([^\"]+)\"", page.read_text())
        assert not [load for load in loads if "://" in load or load.startswith("//")], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import )[\"']?(?:https?:)?//", style.read_text()), style


def test_before_a_commit_the_checks_of_make_check_run() -> None:
    yaml = pytest.importorskip("yaml")
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]

    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == ["make check"]
    assert all(hook["language"] == "system" for hook in repository["hooks"])
