"""From a path to a slide."""

import pytest

from smearcount.db.records import Refusal
from smearcount.watcher.errors import LayoutInvalid
from smearcount.watcher.layout import Layout, Place
from smearcount.watcher.settings import DEFAULT_PATTERN


@pytest.mark.parametrize(
    ("path", "slide"),
    [
        ("S-1/cell.jpg", "S-1"),
        ("S-1/neutrophil/deeper/cell.jpg", "S-1"),
        ("CON/cell.jpg", "CON"),
        (" spaces /cell.jpg", " spaces "),
        ("细胞/x.png", "细胞"),
        (r"a\x0ab/x.jpg", r"a\x0ab"),
    ],
)
def test_by_default_the_first_folder_is_the_slide(path: str, slide: str) -> None:
    assert Layout(DEFAULT_PATTERN).place(path) == Place(slide, None)


def test_by_default_a_file_directly_in_the_inbox_has_no_slide() -> None:
    place = Layout(DEFAULT_PATTERN).place("cell.jpg")

    assert isinstance(place, Refusal)
    assert place.code == "no-slide"


def test_a_pattern_may_name_slide_and_label_anywhere() -> None:
    layout = Layout(r"\d{4}/(?P<slide>[^/]+)/(?P<label>[A-Z]+)_\d+\.jpg")

    assert layout.place("2026/S-7/NEU_001.jpg") == Place("S-7", "NEU")
    assert isinstance(layout.place("2026/S-7/notes.jpg"), Refusal)
    assert isinstance(layout.place("x/2026/S-7/NEU_001.jpg"), Refusal), "the whole path must match"


def test_a_label_that_takes_no_part_is_none() -> None:
    assert Layout(r"(?P<slide>[^/]+)/(?:(?P<label>\w+)/)?[^/]+").place("S-1/x.jpg") == Place("S-1", None)


@pytest.mark.parametrize("pattern", [r"(?P<slide>[^/]*)/.+", r"(?:(?P<slide>S\d+)/)?.+"])
def test_an_empty_slide_name_is_refused(pattern: str) -> None:
    place = Layout(pattern).place("/x.jpg")

    assert isinstance(place, Refusal)
    assert place.code == "no-slide"


@pytest.mark.parametrize("pattern", ["(", "[^/]+/.+", "(?P<case>[^/]+)/.+", ""])
def test_an_unusable_pattern_is_refused_with_a_remedy(pattern: str) -> None:
    with pytest.raises(LayoutInvalid, match="SMEARCOUNT_PATTERN"):
        Layout(pattern)
