"""Ten thousand messages: none is lost, and none comes twice as another, though receiver and sender are hit on the way."""

import random
from collections import Counter

import pytest

from smearcount.db.delivery.decisions import deliveries
from smearcount.db.delivery.destinations import destination_health, register
from smearcount.db.engine.database import Database
from smearcount.db.schema import DeliveryState

from support.receiving.archive import add_slides, sign_all
from support.receiving.delivering import serving, to
from support.receiving.mllp import Lis, Received, acknowledgement
from support.waiting import PATIENCE, wait_until

MESSAGES = 10_000


@pytest.mark.slow
def test_ten_thousand_messages_come_once(sqlite_database: Database) -> None:
    """Undisturbed, not one message is even repeated."""
    with Lis() as lis:
        register(sqlite_database, {"lis": None})
        sign_all(sqlite_database, add_slides(sqlite_database, MESSAGES))
        with serving(sqlite_database, to(lis.url)):
            lis.until(MESSAGES, seconds=4 * PATIENCE)
        came = Counter(message.control_id for message in lis.received)
    assert len(came) == MESSAGES
    assert set(came.values()) == {1}
    assert [message.slide for message in lis.received] == [f"slide-{one:06}" for one in range(1, MESSAGES + 1)]
    (health,) = destination_health(sqlite_database)
    assert (health.waiting, health.parked) == (0, 0)


@pytest.mark.slow
def test_a_receiver_that_fails_again_and_again_gets_all_the_same(database: Database) -> None:
    chance = random.Random(7)
    number = 400

    def unsteady(message: Received) -> list[bytes | None]:
        match chance.randrange(40):
            case 0:
                return [None]
            case 1:
                return [acknowledgement(message)[:15], None]
            case 2:
                return [acknowledgement(message), acknowledgement(message)]
            case 3:
                return [acknowledgement(message), None]
        return [acknowledgement(message)]

    with Lis(unsteady) as lis:
        register(database, {"lis": None})
        sign_all(database, add_slides(database, number))
        # Each is ended in the middle of its work, and the next one goes on.
        for goal in (100, 200, 300, number):
            with serving(database, to(lis.url)):
                lis.until(goal)
        with serving(database, to(lis.url)):
            lis.until(number)
            wait_until(lambda: not destination_health(database)[0].waiting, what="all to be answered")
        told = lis.told()
    assert len(told) == number
    assert all(len(messages) == 1 for messages in told.values())
    assert deliveries(database, states=[DeliveryState.WAITING, DeliveryState.PARKED]) == []
