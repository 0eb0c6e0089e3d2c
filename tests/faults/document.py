"""The tables in docs/faults.md, which every complete campaign rewrites with its measurements."""

from collections.abc import Sequence
from pathlib import Path

from faults.faults import FAULTS
from faults.verdict import Row, markdown

FILE = Path(__file__).parents[2] / "docs" / "faults.md"


def write(rows: Sequence[Row], measured: str, file: Path = FILE) -> None:
    """Put the table of a campaign, and a line that says how it was measured, into the document."""
    text = replaced(file.read_text(), "table", f"{measured}\n\n{markdown(rows)}")
    file.write_text(replaced(text, "users", _for_users()))


def replaced(text: str, name: str, new: str) -> str:
    """Return a document with the text between the two markers of that name replaced.

    Raises:
        ValueError: The document does not hold each marker once.
    """
    begin, end = f"<!-- {name}: written by make faults -->\n", f"<!-- end of {name} -->\n"
    if (text.count(begin), text.count(end)) != (1, 1):
        raise ValueError(f"the document has no place for {name}, or several")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{new}\n{end}{after}"


def _for_users() -> str:
    lines = [
        "| fault | what people notice |",
        "| --- | --- |",
        *(f"| {fault.what} | {fault.users} |" for fault in FAULTS),
    ]
    return "\n".join(lines)
