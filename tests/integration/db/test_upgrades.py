"""Every earlier version's database goes on: what it had counted counts the same, and new images are counted with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from smearcount.db.audit.verification import verify
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.migration import latest_revision, migrate, require_current
from smearcount.db.review.sign_off import comment
from smearcount.differential.classes import CellClass
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import Calls

from support.backing import (
    CELLS,
    OTHERS,
    copied_beside,
    differential,
    earlier_revisions,
    empty_beside,
    make_as_of,
    tallies,
)
from support.journalling import count_cells


def test_there_are_earlier_versions() -> None:
    assert earlier_revisions()[:3] == ["0001", "0002", "0003"]
    assert latest_revision() not in earlier_revisions()


@dataclass(frozen=True)
class Upgraded:
    """A database of an earlier version that was upgraded; nobody has it open."""

    url: str
    revision: str
    #: What the oldest view said before the upgrade.
    before: list[tuple[Any, ...]]
    #: What this version said to it before the upgrade.
    refusal: str


@pytest.fixture(
    scope="module",
    params=[(kind, revision) for kind in ("sqlite", "postgresql") for revision in earlier_revisions()],
    ids="-".join,
)
def upgraded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """An upgraded database of each earlier version, which tests only read: once SQLite, once PostgreSQL."""
    kind, revision = request.param
    server = "sqlite" if kind == "sqlite" else str(request.getfixturevalue("_postgresql"))
    with empty_beside(server, tmp_path_factory.mktemp("upgraded")) as url:
        with Database(url) as database:
            make_as_of(database, revision)
            before = differential(database)
            with pytest.raises(DatabaseError) as refused:
                require_current(database)
            migrate(database)
        yield Upgraded(url, revision, before, str(refused.value))


@pytest.fixture
def copy(upgraded: Upgraded, tmp_path: Path) -> Iterator[Database]:
    """A copy of the upgraded database, which a test may change."""
    with copied_beside(upgraded.url, tmp_path) as url, Database(url) as database:
        yield database


def test_what_an_earlier_version_counted_counts_the_same(upgraded: Upgraded) -> None:
    assert f"older version ({upgraded.revision}); upgrade it with: smearcount migrate" in upgraded.refusal
    with Database(upgraded.url) as database:
        require_current(database)
        assert differential(database) == upgraded.before
        counted = tallies(database)
    for slide, cells in CELLS.items():
        expected = {cell_class: cells.count((cell_class, True)) for cell_class in CellClass}
        assert dict(counted[slide].cells) == expected
        assert counted[slide].unidentified == sum(not identified for _, identified in cells)
    assert counted["S-1"].status is SlideStatus.COMPLETE
    other = counted["S-2"]
    assert (other.pending, other.quarantined, other.duplicates) == (1, 1, 1)
    assert other.images == len(CELLS["S-2"]) + len(OTHERS) - 1, "what was overwritten counts no more"


def test_an_earlier_versions_slide_takes_new_images(copy: Database) -> None:
    before = tallies(copy)["S-2"]

    # What was pending is taken up as well.
    contents = {"S-2/3.jpg": "waited", "S-2/new-1.jpg": "one", "S-2/new-2.jpg": "two"}
    count_cells(copy, 1, [(path, content, CellClass.BASOPHIL, True) for path, content in contents.items()])

    after = tallies(copy)["S-2"]
    assert after.cells[CellClass.BASOPHIL] == 3
    assert after.cells[CellClass.EOSINOPHIL] == before.cells[CellClass.EOSINOPHIL]
    assert (after.pending, after.images) == (0, before.images + 2)


def test_what_people_have_said_is_kept(upgraded: Upgraded) -> None:
    has_said = upgraded.revision >= "0003"
    with Database(upgraded.url) as database:
        reviewed = tallies(database, Calls.REVIEWED)["S-1"].cells
        with database.reading() as connection:
            signed = connection.execute(text("SELECT signed_by FROM signatures")).scalars().all()
    assert (reviewed[CellClass.IG], reviewed[CellClass.NEUTROPHIL]) == ((1, 4) if has_said else (0, 5))
    assert signed == (["A. Lab"] if has_said else [])


def test_the_chain_of_what_people_did_holds_after_an_upgrade(upgraded: Upgraded, copy: Database) -> None:
    found = verify(copy)
    assert found.holds, found.breaks
    assert found.before_the_chain + found.reviews + found.slide_events == (2 if upgraded.revision >= "0003" else 0)
    comment(copy, 1, reviewer="Ada", text="goes on")
    assert verify(copy).holds
