"""The comparison of a database with what was sent to it: nothing lost, nothing twice, and each image called as before."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

CALLS = """
SELECT images.sha256, cell_class, identified FROM images JOIN classifications ON classifications.image_id = images.id
WHERE state = 'done'
"""
_COUNTED = "SELECT sha256, count(*) FROM images WHERE state = 'done' GROUP BY sha256"
_CALLED = f"SELECT sha256, cell_class, identified, count(*) FROM ({CALLS}) AS called GROUP BY 1, 2, 3"  # noqa: S608 (our own words)


@dataclass(frozen=True)
class Balance:
    """Numbers of images, compared with what was sent."""

    counted: int
    lost: int
    twice: int
    called_otherwise: int


def balance(database_url: str, sent: Counter[str], calls: Mapping[str, tuple[str, bool]]) -> Balance:
    """Compare; `sent` says how often each content was dropped, never twice on one slide.

    No file has two rows that count, which the database itself sees to; so what is lost of a content cannot be made up for by
    what is counted twice of it.
    """
    with psycopg.connect(database_url) as connection:
        counted: Counter[str] = Counter(dict(connection.execute(_COUNTED).fetchall()))
        called = connection.execute(_CALLED).fetchall()
    rows: Counter[str] = Counter()
    otherwise = 0
    for sha, cell_class, identified, count in called:
        rows[sha] += count
        otherwise += 0 if calls.get(sha) == (cell_class, identified) else count
    return Balance(
        counted=counted.total(),
        lost=(sent - counted).total(),
        twice=(counted - sent).total() + (rows - counted).total(),
        called_otherwise=otherwise,
    )
