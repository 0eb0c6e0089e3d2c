"""Words and spellings that all forms share, so that they say the same thing in the same way."""

import re
import unicodedata
from datetime import datetime

from smearcount.differential.times import utc_text

RESEARCH_USE = "Research use only until validated on site."

_SPACES = re.compile(r"\s+")
_ODD_SPACE = re.compile(r"(^|[/ ]) | (/|$)")
#: Characters before one that may merge with it: no letter has more marks that matter.
_MERGING = 16


def printable(text: str) -> str:
    """Replace every character that is not printable: a name must not move a cursor, end a line or split a message."""
    if text.isprintable():
        return text  # nearly every text is like this
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def printable_lines(text: str) -> list[str]:
    """Return the lines of a text that a person wrote, each in printable characters; empty ones at the ends are left out."""
    return [
        printable("".join(" " if character.isspace() else character for character in line)).rstrip()
        for line in text.strip().splitlines()
    ]


def on_one_line(text: str) -> str:
    """Return a text that a person wrote in printable characters and on one line."""
    return " ".join(line for line in printable_lines(text) if line)


def distinct(name: str) -> str:
    r"""Return the name of a slide or a file so that what else could not be seen shows: no two names look alike.

    Names that differ in a space at an end, in doubled spaces, in the kind of a space, or in how an accented letter is composed
    (Unicode's forms NFC and NFD) are different folders. Such a space, and every part of a letter that is not composed, is
    written as `\xNN`, byte for byte, as `inbox.paths` writes what is invisible; a backslash of the name itself is `\\` there.
    Forms for programs hold the name itself.
    """
    if name.isascii() and name.isprintable() and not _ODD_SPACE.search(name):
        return name  # nearly every name is like this
    return "".join(
        _escaped(character) if _is_unseen(name, place) else character for place, character in enumerate(name)
    )


def looks_like(name: str) -> str:
    """Return what all names have in common that look like this one: two names look alike if this is the same for both."""
    if name.isascii() and "  " not in name and name == name.strip():
        return name
    return _SPACES.sub(" ", unicodedata.normalize("NFC", name)).strip()


def named(text: str, otherwise: str) -> str:
    """Return a name in printable characters, or `otherwise` if nothing of it is visible."""
    return printable(text).strip() or otherwise


def slide_identifier(name: str, slide_id: int) -> str:
    r"""Return the name by which a receiver knows a slide: the name itself, with what a receiver could drop written as `\xNN`.

    Receivers trim spaces, so that the results of two slides would replace each other; see `distinct`.
    """
    start, end = len(name) - len(name.lstrip(" ")), len(name.rstrip(" "))
    kept = (
        character if character.isprintable() and (character != " " or start <= place < end) else _escaped(character)
        for place, character in enumerate(name)
    )
    return "".join(kept) or f"slide {slide_id}"


def decimals(number: float, digits: int = 2) -> str:
    """Return a number with at most `digits` decimals and without an exponent: 61, 0.5, 33.33."""
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(at: datetime) -> str:
    """Return a moment to the second, such as 2026-03-01 08:30:00 UTC."""
    return utc_text(at.replace(microsecond=0)).replace("T", " ").replace("Z", " UTC")


def cells(number: int) -> str:
    """Return a number of cells with its noun: 1 cell, 2 cells."""
    return "1 cell" if number == 1 else f"{number} cells"


def _is_unseen(name: str, place: int) -> bool:
    """Say whether the character there would not show, or merges with those before it."""
    character = name[place]
    if character == " ":
        # Of a path, every part is a name.
        return f"/{name}/"[place] in "/ " or f"{name}/"[place + 1] == "/"
    if character.isascii():
        return not character.isprintable()
    if not character.isprintable():
        return True
    before = name[max(0, place - _MERGING) : place]
    composed = unicodedata.normalize("NFC", before)
    return unicodedata.normalize("NFC", before + character) != composed + character


def _escaped(character: str) -> str:
    is_byte = "\udc80" <= character <= "\udcff"  # of a name that is no UTF-8
    raw = character.encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")
    return "".join(rf"\x{byte:02x}" for byte in raw)
