"""Slides whose names look alike: doctor names them, and they are found by the spelling that tables show."""

from pathlib import Path

import pytest

from smearcount.cli.diagnostics import _slides
from smearcount.cli.site import Site
from smearcount.db.engine.database import Database
from smearcount.db.errors import UnknownSlide
from smearcount.db.ingest import journal
from smearcount.db.queries.counts import find_slide_id
from smearcount.db.queries.images import image_lines

from support.journalling import new_inbox, seen


def test_doctor_names_slides_that_look_alike_and_writes_out_what_differs(database: Database, tmp_path: Path) -> None:
    site = Site(data=tmp_path / "data", database_url=database.url.render_as_string(hide_password=False))
    inbox = new_inbox(database)
    with site.database:
        journal.record(database, inbox, [seen("S-60/a.jpg"), seen("S-61/a.jpg")])
        assert _slides(site).state == "well"
        journal.record(database, inbox, [seen("S-60 /a.jpg")])
        finding = _slides(site)

    assert finding.state == "wrong"
    assert r"'S-60' and 'S-60\x20'" in finding.details


def test_without_a_database_yet_nothing_is_wrong(tmp_path: Path) -> None:
    assert _slides(Site(data=tmp_path / "data")).state == "unknown"


def test_a_slide_is_found_by_its_name_and_by_the_spelling_that_tables_show(database: Database) -> None:
    names = ["S-60", "S-60 ", "Mu\u0308ller", "Müller", r"S-60\x0a"]
    journal.record(database, new_inbox(database), [seen(f"{name}/a.jpg") for name in names])
    shown = ["S-60", r"S-60\x20", r"Mu\xcc\x88ller", "Müller", r"S-60\x0a"]

    for name, spelling in zip(names, shown, strict=True):
        assert find_slide_id(database, spelling) == find_slide_id(database, name)
        assert [line.slide for line in image_lines(database, slide=spelling)] == [name]
    for unknown in (r"S-61\x20", r"\x20", "S-60  "):
        with pytest.raises(UnknownSlide):
            find_slide_id(database, unknown)
