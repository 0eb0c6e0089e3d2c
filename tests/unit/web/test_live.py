"""What reaches those who follow the live changes, and what they can tell from it."""

import asyncio
from itertools import permutations

import pytest

from smearcount.db.queries.changes import SlideChange
from smearcount.web.api.changes import SlidesChanged
from smearcount.web.live.listeners import Listener


def by_images(slide_id: int, review: int = 0, event: int = 0) -> SlideChange:
    return SlideChange(slide_id, has_new_images=True, last_review_id=review, last_event_id=event)


def by_people(slide_id: int, review: int = 0, event: int = 0) -> SlideChange:
    return SlideChange(slide_id, has_new_images=False, last_review_id=review, last_event_id=event)


@pytest.mark.parametrize("steps", [*permutations((by_images(1), by_people(1, review=17), by_people(1, event=4)))])
def test_several_changes_of_a_slide_reach_a_listener_as_one(steps: tuple[SlideChange, ...]) -> None:
    async def heard() -> list[SlideChange]:
        listener = Listener()
        listener.notify([by_people(2, review=18)])
        for step in steps:
            listener.notify([step])
        return await anext(listener.changes())

    assert asyncio.run(heard()) == [by_images(1, review=17, event=4), by_people(2, review=18)]


def test_a_listener_hears_each_change_once_and_ends_when_it_is_closed() -> None:
    async def heard() -> tuple[list[SlideChange], list[SlideChange], list[list[SlideChange]]]:
        listener = Listener()
        changes = listener.changes()
        listener.notify([by_images(1)])
        first = await anext(changes)
        listener.notify([by_images(2)])
        second = await anext(changes)
        listener.notify([by_images(3)])
        listener.close()
        return first, second, [rest async for rest in changes]

    assert asyncio.run(heard()) == ([by_images(1)], [by_images(2)], [])


def test_an_event_names_the_slides_that_people_alone_changed() -> None:
    shown = SlidesChanged.of([by_images(1, review=17), by_people(2, review=18, event=3)])
    assert shown.model_dump() == {"slides": [1, 2], "reviewed": [{"slide": 2, "last_review": 18, "last_event": 3}]}
