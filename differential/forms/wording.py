"""Words and spellings that every form shares, so that no two of them say the same thing differently."""

RESEARCH_USE = "Research use only until validated on site."


def printable(text: str) -> str:
    """Replace what is no printable character: a name must not move a cursor, end a line or break a message apart."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def named(text: str, otherwise: str) -> str:
    """Return a name in printable characters, or `otherwise` if it shows nothing at all."""
    return printable(text).strip() or otherwise


def decimals(number: float, digits: int = 2) -> str:
    """Write a number with at most so many decimals, never with an exponent: 61, 0.5, 33.33."""
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
