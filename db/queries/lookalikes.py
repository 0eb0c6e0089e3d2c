"""Slides whose names look alike: a space at the end or another form of a letter makes another folder, and another slide."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from smearcount.db.engine.database import Database
from smearcount.db.schema import Inbox, Slide
from smearcount.differential.forms.wording import looks_like

_NAMES_PER_QUERY = 500

#: Of the names that a list shows: a withdrawn slide has been dealt with, and a former name is nobody's.
_IS_LISTED = Slide.withdrawn_at.is_(None) & Slide.renamed_to.is_(None)


class NewLookalikes:
    """Finds, look after look, the slides of one inbox that came since and look like another one.

    A look reads the names of new slides alone. Of two names that look alike, at least one differs from what both look like:
    those few are kept.
    """

    def __init__(self, database: Database, inbox_id: int) -> None:
        """Begin with the first slide of an inbox."""
        self._database = database
        self._inbox_id = inbox_id
        self._last_id = 0
        self._odd: defaultdict[str, set[int]] = defaultdict(set)

    def look(self) -> list[int]:
        """Return the ids of all slides that look like one of the new ones, with those; none if none does.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        new = select(Slide.id, Slide.name).where(Slide.inbox_id == self._inbox_id, Slide.id > self._last_id)
        with self._database.reading() as connection:
            rows = connection.execute(new.order_by(Slide.id)).all()
            if not rows:
                return []
            looks = {slide_id: looks_like(name) for slide_id, name in rows}
            odd = {slide_id: looks[slide_id] for slide_id, name in rows if looks[slide_id] != name}
            for slide_id, look in odd.items():
                self._odd[look].add(slide_id)
            even = self._ids_of(connection, set(odd.values()))
        self._last_id = rows[-1].id
        alike: set[int] = set()
        for slide_id, look in looks.items():
            group = self._odd.get(look, set()) | even.get(look, set()) | {slide_id}
            if len(group) > 1:
                alike |= group
        return sorted(alike)

    def _ids_of(self, connection: Connection, names: Iterable[str]) -> dict[str, set[int]]:
        wanted = sorted(names)
        found: dict[str, set[int]] = {}
        for start in range(0, len(wanted), _NAMES_PER_QUERY):
            query = select(Slide.name, Slide.id).where(
                Slide.inbox_id == self._inbox_id, Slide.name.in_(wanted[start : start + _NAMES_PER_QUERY])
            )
            found |= {name: {slide_id} for name, slide_id in connection.execute(query)}
        return found


def lookalikes(database: Database, *, inbox: str | None = None) -> list[Sequence[str]]:
    """Return the names of slides of one inbox that look alike, group by group; this reads the names of all slides.

    Args:
        database: where the slides are.
        inbox: name of the only inbox to look at; None for all, each by itself.
    """
    query = select(Slide.inbox_id, Slide.name).where(_IS_LISTED).order_by(Slide.inbox_id, Slide.name)
    if inbox is not None:
        query = query.join(Inbox).where(Inbox.name == inbox)
    groups: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    with database.reading() as connection:
        for inbox_id, name in connection.execute(query):
            groups[inbox_id, looks_like(name)].append(name)
    return [names for names in groups.values() if len(names) > 1]
