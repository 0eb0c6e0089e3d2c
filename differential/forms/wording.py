"""Words and spellings that all forms share, so that they say the same thing in the same way."""

from datetime import datetime

from smearcount.differential.times import utc_text

RESEARCH_USE = "Research use only until validated on site."


def printable(text: str) -> str:
    """Replace every character that is not printable: a name must not move a cursor, end a line or split a message."""
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


def named(text: str, otherwise: str) -> str:
    """Return a name in printable characters, or `otherwise` if nothing of it is visible."""
    return printable(text).strip() or otherwise


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
