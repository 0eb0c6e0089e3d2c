"""Doctor and the system page say whether the newest slides look like what the model knows."""

from datetime import timedelta
from pathlib import Path

import pytest

from smearcount.cli.diagnostics import _images
from smearcount.cli.site import Site
from smearcount.db.engine.database import Database
from smearcount.db.ingest import completion, journal, results
from smearcount.db.records import Classified
from smearcount.differential.classes import CellClass

from support.journalling import MODEL, begin, new_inbox, seen, take


def counted(database: Database, inbox: int, slide: str, colour_distance: float, cells: int = 20) -> None:
    """Count a slide of neutrophils whose colours are so far away."""
    journal.record(database, inbox, [seen(f"{slide}/{number}.jpg") for number in range(cells)])
    found = [
        Classified(
            image_id=item.image_id, sha256=f"{item.image_id:064x}", cell_class=CellClass.NEUTROPHIL, confidence=0.9,
            probabilities=(0.0,) * 6 + (1.0, 0.0), identified=True, ood_score=1.0, colour_distance=colour_distance,
            sharpness=1.0,
        )
        for item in begin(database, take(database, inbox))
    ]  # fmt: skip
    results.store(database, MODEL, "bench", found)
    completion.complete_slides(database, inbox, quiet=timedelta(0))


def test_most_slides_in_another_stain_are_told(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SMEARCOUNT_UNLIKE_COLOUR", raising=False)
    site = Site(data=tmp_path / "data", database_url=database.url.render_as_string(hide_password=False))
    inbox = new_inbox(database)
    with site.database:
        counted(database, inbox, "few", 9.0, cells=3)
        assert _images(site).state == "unknown"
        counted(database, inbox, "usual", 1.2)
        counted(database, inbox, "foreign", 9.0)
        assert _images(site).state == "well"
        assert "1 of the 2 newest slides" in _images(site).details
        counted(database, inbox, "foreign-2", 9.0)
        finding = _images(site)
    assert finding.state == "unknown"
    assert "2 of the 3 newest slides look unlike what the model knows" in finding.details
    assert "model evaluate" in finding.details


def test_without_a_database_yet_nothing_is_said(tmp_path: Path) -> None:
    assert _images(Site(data=tmp_path / "data")).details == "nothing has been counted yet"
