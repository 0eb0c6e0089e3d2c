"""How names are written so that no two of them look alike."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smearcount.differential.forms.wording import distinct, looks_like, slide_identifier

#: Names in the text form: no invisible characters, a backslash doubled. Few characters, so that names often look alike.
names = st.text(st.sampled_from(" S6-éüo\u0301\u0308\u00a0\u3000가ᄀ\u1161Å\u212b"), min_size=1, max_size=8)


@pytest.mark.parametrize(
    "name", ["S-60", "S 60", "ŁUKASZ-2", "Müller", "细胞", "🩸", "가", r"a\x0ab", r"a\\b", "a b c"]
)
def test_a_name_that_shows_what_it_is_stays_as_it_is(name: str) -> None:
    assert distinct(name) == name
    assert looks_like(name) == name
    assert slide_identifier(name, 7) == name


@pytest.mark.parametrize(
    ("name", "shown", "looks"),
    [
        ("S-60 ", r"S-60\x20", "S-60"),
        (" S-60", r"\x20S-60", "S-60"),
        ("S  60", r"S \x2060", "S 60"),
        ("S\u00a060", r"S\xc2\xa060", "S 60"),
        ("Mu\u0308ller", r"Mu\xcc\x88ller", "Müller"),
        ("\u212b", r"\xe2\x84\xab", "Å"),
        ("\u1100\u1161", "\u1100" + r"\xe1\x85\xa1", "가"),
        (" ", r"\x20", ""),
        ("S-60 / a b /c", r"S-60\x20/\x20a b\x20/c", "S-60 / a b /c"),
    ],
)
def test_what_could_not_be_seen_is_written_out(name: str, shown: str, looks: str) -> None:
    assert distinct(name) == shown
    assert looks_like(name) == looks


@given(names, names)
@example("é ", "e\u0301 ")
def test_no_two_names_look_alike(one: str, other: str) -> None:
    assert (distinct(one) == distinct(other)) == (one == other)
    assert unicodedata.normalize("NFC", distinct(one)) == distinct(one)
    assert distinct(one).isprintable()
    assert distinct(one) == distinct(one).strip()
    assert "  " not in distinct(one)


@given(names)
def test_names_look_alike_whatever_their_spaces_and_the_form_of_their_letters(name: str) -> None:
    alike = {looks_like(form) for form in (name, f" {name}  ", unicodedata.normalize("NFD", name), looks_like(name))}

    assert len(alike) == 1


@given(names, names)
def test_a_receiver_that_trims_keeps_two_slides_apart(one: str, other: str) -> None:
    assert (slide_identifier(one, 1).strip() == slide_identifier(other, 1).strip()) == (one == other)


def test_a_slide_without_a_name_has_a_number() -> None:
    assert slide_identifier("", 7) == "slide 7"


@given(st.text())
def test_any_text_can_be_shown(text: str) -> None:
    assert distinct(text).isprintable()
