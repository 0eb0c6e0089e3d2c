"""Which names are images, which are ignored, and what is said of ignored files."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smearcount.inbox.ignoring import IgnoredFiles, Ignoring, is_image_name, kinds_text

USUAL = Ignoring()


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store", "._cell.jpg", "Thumbs.db", "THUMBS.DB", "desktop.ini", "@eaDir", ".stfolder", ".stversions",
        "__MACOSX", "cell.jpg.part", "cell.jpg.tmp", "~cell.jpg", "~$x", "..x",
        "#recycle", "#Recycle", "@Recycle", "$RECYCLE.BIN", "$Recycle.Bin", "RECYCLER", "System Volume Information",
        ".Trash-1000", ".Trashes", "lost+found", "Network Trash Folder", "#snapshot", "@Recently-Snapshot",
    ],
)  # fmt: skip
def test_hidden_temporary_and_system_names_are_ignored(name: str) -> None:
    assert USUAL.ignores(name)
    assert USUAL.ignores_within(f"S-1/{name}/cell.jpg")
    assert USUAL.ignores_within(name)


@pytest.mark.parametrize(
    "name", ["cell.jpg", "x~.jpg", "part", "tmp", "a.b", "CON", " .x", "recycle", "#recycled", "lost"]
)
def test_other_names_are_not_ignored(name: str) -> None:
    assert not USUAL.ignores(name)
    assert not USUAL.ignores_within(f"S-1/{name}")


@pytest.mark.parametrize(
    "name",
    ["a.jpg", "a.JPG", "a.jpeg", "a.PNG", "a.bmp", "a.tif", "a.tiff", "a.jfif", "a.JFIF", "a.jpe", "a.jif", "a.dib"],
)
def test_images_are_known_by_their_ending(name: str) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["a.txt", "jpg", "a.jpg.xml", "a.csv", "a", "a.webp", "a.jpg "])
def test_other_files_are_no_images(name: str) -> None:
    assert not is_image_name(name)


def test_a_sites_patterns_add_to_what_is_ignored() -> None:
    ignoring = Ignoring(["*_thumb.jpg", "archive", "Prüfung[12]"])

    for name in ("a_thumb.jpg", "A_THUMB.JPG", "archive", "Archive", "Prüfung1", "Pru\u0308fung2", "Thumbs.db"):
        assert ignoring.ignores(name), name
        assert ignoring.ignores_within(f"S-1/{name}/x.jpg"), name
    for name in ("a_thumb.jpeg", "thumb.jpg", "archives", "the archive", "Prüfung3"):
        assert not ignoring.ignores(name), name


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("*", "everything"),
        ("*?*", "everything"),
        ("a/b", "is a path"),
        ("/archive", "is a path"),
        ("scan[0-9", "does not close"),
        ("[a]b[", "does not close"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused_with_a_remedy(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Ignoring(["*_thumb.jpg", pattern])


def test_an_opening_bracket_can_be_matched() -> None:
    assert Ignoring(["[[]old]*"]).ignores("[old] S-1")


@given(st.binary(min_size=1, max_size=60).filter(lambda raw: b"\0" not in raw and b"/" not in raw), st.text(max_size=9))
def test_any_name_and_any_pattern_can_be_asked_about(raw: bytes, pattern: str) -> None:
    name = os.fsdecode(raw)
    try:
        ignoring = Ignoring([pattern])
    except ValueError:
        ignoring = USUAL

    assert isinstance(ignoring.ignores(name), bool)
    ignored = IgnoredFiles(ignoring)
    ignored.add(name)
    assert all(kind.isascii() and kind.isprintable() for kind in ignored.kinds)


def test_ignored_files_are_counted_by_kind_and_what_systems_leave_behind_is_not() -> None:
    ignored = IgnoredFiles(Ignoring(["*_thumb.jpg"]))
    for name in [f"{number}.webp" for number in range(400)] + ["a.XML"] * 12:
        ignored.add(name)
    for name in ("Thumbs.db", ".DS_Store", "._cell.jpg", "desktop.ini"):
        ignored.add(name)
    for name in ("x.jpg.part", "~x.jpg", "x_thumb.jpg", "noending", "name.of-a-patient", "Mr. Longname-1980"):
        ignored.add(name)

    assert ignored.kinds == {".webp": 400, ".xml": 12, "other": 3, "unfinished": 2, "SMEARCOUNT_IGNORE": 1}
    assert kinds_text(ignored.kinds) == ".webp 400, .xml 12, other 3, unfinished 2, SMEARCOUNT_IGNORE 1"


def test_the_kinds_are_few_however_many_endings_there_are() -> None:
    ignored = IgnoredFiles(USUAL)
    for number in range(10_000):
        ignored.add(f"cell.{number}")
    ignored.add("cell.webp")

    assert len(ignored.kinds) <= 9
    assert sum(ignored.kinds.values()) == 10_001
