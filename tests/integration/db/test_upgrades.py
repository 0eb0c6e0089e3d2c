"""Every earlier version's database goes on: what it had counted counts the same, and new images are counted with it."""

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

from support.backing import CELLS, OTHERS, differential, earlier_revisions, make_as_of, tallies
from support.journalling import count_cells


def test_there_are_earlier_versions() -> None:
    assert earlier_revisions()[:3] == ["0001", "0002", "0003"]
    assert latest_revision() not in earlier_revisions()


@pytest.mark.parametrize("revision", earlier_revisions())
def test_what_an_earlier_version_counted_counts_the_same(bare_database: Database, revision: str) -> None:
    make_as_of(bare_database, revision)
    before = differential(bare_database)
    with pytest.raises(DatabaseError, match=rf"older version \({revision}\); upgrade it with: smearcount migrate"):
        require_current(bare_database)

    migrate(bare_database)

    require_current(bare_database)
    assert differential(bare_database) == before
    counted = tallies(bare_database)
    for slide, cells in CELLS.items():
        expected = {cell_class: cells.count((cell_class, True)) for cell_class in CellClass}
        assert dict(counted[slide].cells) == expected
        assert counted[slide].unidentified == sum(not identified for _, identified in cells)
    assert counted["S-1"].status is SlideStatus.COMPLETE
    other = counted["S-2"]
    assert (other.pending, other.quarantined, other.duplicates) == (1, 1, 1)
    assert other.images == len(CELLS["S-2"]) + len(OTHERS) - 1, "what was overwritten counts no more"


@pytest.mark.parametrize("revision", earlier_revisions())
def test_an_earlier_versions_slide_takes_new_images(bare_database: Database, revision: str) -> None:
    make_as_of(bare_database, revision)
    migrate(bare_database)
    before = tallies(bare_database)["S-2"]

    # What was pending is taken up as well.
    contents = {"S-2/3.jpg": "waited", "S-2/new-1.jpg": "one", "S-2/new-2.jpg": "two"}
    count_cells(bare_database, 1, [(path, content, CellClass.BASOPHIL, True) for path, content in contents.items()])

    after = tallies(bare_database)["S-2"]
    assert after.cells[CellClass.BASOPHIL] == 3
    assert after.cells[CellClass.EOSINOPHIL] == before.cells[CellClass.EOSINOPHIL]
    assert (after.pending, after.images) == (0, before.images + 2)


@pytest.mark.parametrize("revision", [revision for revision in earlier_revisions() if revision >= "0003"])
def test_what_people_have_said_is_kept(bare_database: Database, revision: str) -> None:
    make_as_of(bare_database, revision)

    migrate(bare_database)

    reviewed = tallies(bare_database, Calls.REVIEWED)["S-1"].cells
    assert (reviewed[CellClass.IG], reviewed[CellClass.NEUTROPHIL]) == (1, 4)
    with bare_database.reading() as connection:
        assert connection.execute(text("SELECT signed_by FROM signatures")).scalars().all() == ["A. Lab"]


@pytest.mark.parametrize("revision", earlier_revisions())
def test_the_chain_of_what_people_did_holds_after_an_upgrade(bare_database: Database, revision: str) -> None:
    make_as_of(bare_database, revision)

    migrate(bare_database)

    found = verify(bare_database)
    assert found.holds, found.breaks
    assert found.before_the_chain + found.reviews + found.slide_events == (2 if revision >= "0003" else 0)
    comment(bare_database, 1, reviewer="Ada", text="goes on")
    assert verify(bare_database).holds
