"""Words and spellings that all forms share, so that they say the same thing in the same way."""

RESEARCH_USE = "Research use only until validated on site."


def printable(text: str) -> str:
    """Replace every character that is not printable: a name must not move a cursor, end a line or split a message."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def named(text: str, otherwise: str) -> str:
    """Return a name in printable characters, or `otherwise` if nothing of it is visible."""
    return printable(text).strip() or otherwise


def decimals(number: float, digits: int = 2) -> str:
    """Return a number with at most `digits` decimals and without an exponent: 61, 0.5, 33.33."""
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
