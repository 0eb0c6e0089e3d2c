"""Lists the licences of all packages that an installation may hold, as requirements/licences.md has them.

    python deployment/licences.py > requirements/licences.md

Run it in an environment with requirements/evaluate.txt. The hashes of the files stand in the lists of pins beside it.
"""

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

PINS = Path(__file__).parents[1] / "requirements" / "evaluate.txt"

_HEAD = """# Licences of the dependencies

What `requirements/evaluate.txt` pins, which holds `base.txt`, with the licence that each package names. Written by
`deployment/licences.py`; a test holds it to the pins. The SHA-256 of every file that pip may take stands in the lists of pins.

| package | version | licence |
| --- | --- | --- |
"""


def pinned() -> Iterator[tuple[str, str]]:
    """Yield name and version of every pinned package, in the order of the file."""
    yield from re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", PINS.read_text(), re.MULTILINE)


def licence(package: str) -> str | None:
    """Return the licence that an installed package names; None if it is not installed here."""
    try:
        about = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return None
    named = about["License-Expression"] if "License-Expression" in about else ""  # noqa: SIM401 (typed from Python 3.12)
    classified = [
        line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or [] if line.startswith("License ::")
    ]
    free = about["License"] if "License" in about else ""  # noqa: SIM401
    return str(named or " AND ".join(classified) or free.splitlines()[0])


def table() -> str:
    """Return the list; packages for other systems, which are not installed here, keep their line without a licence."""
    rows = (f"| {name} | {version} | {licence(name) or 'not for this system'} |" for name, version in pinned())
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
