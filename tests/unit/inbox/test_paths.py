"""File names as storable text, and back."""

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smearcount.inbox.paths import from_text, to_text

#: Any name a Unix file system takes: up to 255 bytes, none of them NUL or "/".
raw_names = st.binary(min_size=1, max_size=255).filter(lambda raw: b"\0" not in raw and b"/" not in raw)


@given(raw_names)
@example(b"\xff" * 255)
@example(b"\\" * 255)
@example(rb"\x41")
@example(rb"\\x41")
@example("\u202egpj.llec".encode())
@example("🩸".encode() * 63)
def test_any_file_name_comes_back_and_its_text_is_printable_utf8(raw: bytes) -> None:
    name = os.fsdecode(raw)

    text = to_text(name)

    assert from_text(text) == name
    assert text.isprintable()
    text.encode("utf-8")


@given(raw_names, raw_names)
def test_two_names_never_share_a_text(one: bytes, other: bytes) -> None:
    assert (to_text(os.fsdecode(one)) == to_text(os.fsdecode(other))) == (one == other)


@given(st.lists(raw_names, min_size=2, max_size=4))
def test_the_text_of_a_path_is_the_path_of_the_texts(parts: list[bytes]) -> None:
    names = [os.fsdecode(part) for part in parts]

    assert to_text("/".join(names)) == "/".join(to_text(name) for name in names)


@pytest.mark.parametrize("name", ["cell 1.jpg", "S-100_ä.jpg", "细胞.png", "🩸.jpg", "CON", " x "])
def test_visible_names_stay_as_they_are(name: str) -> None:
    assert to_text(name) == name


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\nb", r"a\x0ab"),
        (b"a\tb\x7f", r"a\x09b\x7f"),
        (b"caf\xe9", r"caf\xe9"),
        ("a\u202eb".encode(), r"a\xe2\x80\xaeb"),
        (b"a\\b", r"a\\b"),
        (b"\x1b[31m", r"\x1b[31m"),
    ],
)
def test_what_cannot_be_seen_is_written_out(raw: bytes, text: str) -> None:
    assert to_text(os.fsdecode(raw)) == text
