"""What the database of a run holds: its progress many times a second while it runs, and everything at its end."""

import time
from collections import defaultdict
from typing import Any, NamedTuple

import psycopg

from smearcount.db.engine.database import Database
from smearcount.db.queries.counts import slide_tallies
from smearcount.differential.tally import SlideTally

from faults.background import Background
from faults.verdict import Account, Beat, Fate

#: Pause between two beats, and how long to wait for a connection, in seconds.
_PAUSE_SECONDS, _CONNECT_SECONDS = 0.05, 2

_BEAT = """
SELECT coalesce((SELECT max(id) FROM classifications), 0), coalesce((SELECT max(id) FROM images), 0),
       (SELECT min(id) FROM images WHERE state IN ('pending', 'queued'))
"""
_STANDING = """
SELECT count(*) FILTER (WHERE state IN ('done', 'duplicate')), count(*) FILTER (WHERE state IN ('pending', 'queued')),
       count(*) FILTER (WHERE state = 'quarantined'), (SELECT count(*) FROM slides WHERE completed_at IS NULL)
FROM images
"""
_FATES = """
SELECT folder || '/' || filename, state, reason_code, min(cell_class), bool_and(identified), count(classifications.id)
FROM images LEFT JOIN classifications ON classifications.image_id = images.id
WHERE state <> 'superseded' GROUP BY images.id
"""
_SAME_BYTES = """
SELECT coalesce(sum(times - 1), 0)
FROM (SELECT count(*) AS times FROM images WHERE state = 'done' GROUP BY slide_id, sha256) AS counted
"""


class Standing(NamedTuple):
    """How many images are in which state."""

    counted: int
    open: int
    quarantined: int
    slides_incomplete: int


class Pulse(Background):
    """Records the progress of a run many times a second: `with Pulse(url) as pulse:`."""

    def __init__(self, url: str) -> None:
        """Prepare; nothing is asked yet."""
        super().__init__()
        self._url = url
        self.beats: list[Beat] = []

    def now(self) -> Beat:
        """Return the progress now; wait while the database does not answer."""
        while True:
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_SECONDS) as connection:
                    return _beat(connection)
            except psycopg.OperationalError:
                self._ending.wait(_PAUSE_SECONDS)

    def _go_on(self) -> None:
        while not self._ending.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_SECONDS) as connection:
                    while not self._ending.wait(_PAUSE_SECONDS):
                        self.beats.append(_beat(connection))
            except psycopg.OperationalError:
                self._ending.wait(_PAUSE_SECONDS)  # the fault hits the database; connect again until it is over


def standing(url: str) -> Standing:
    """Return how many images are in which state; all zero while the database does not answer."""
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS) as connection:
            row = connection.execute(_STANDING).fetchone()
    except psycopg.OperationalError:
        return Standing(0, 0, 0, 0)
    assert row is not None
    return Standing(*row)


def account(url: str) -> Account:
    """Return everything that the database holds after a run."""
    fates: dict[str, list[Fate]] = defaultdict(list)
    with psycopg.connect(url) as connection:
        for path, *fate in connection.execute(_FATES):
            fates[path].append(Fate(*fate))
        same_bytes = connection.execute(_SAME_BYTES).fetchone()
    assert same_bytes is not None
    with Database(url) as database:
        differentials = {one.tally.slide: _numbers(one.tally) for one in slide_tallies(database)}
    return Account(fates, int(same_bytes[0]), differentials)


def _beat(connection: psycopg.Connection[Any]) -> Beat:
    row = connection.execute(_BEAT).fetchone()
    assert row is not None
    return Beat(time.monotonic(), *row)


def _numbers(tally: SlideTally) -> dict[str, int]:
    return {
        **{cell_class.value: count for cell_class, count in tally.cells.items()},
        "unidentified": tally.unidentified,
        "quarantined": tally.quarantined,
        "duplicates": tally.duplicates,
        "pending": tally.pending,
        "complete": int(tally.completed_at is not None),
    }
