"""A handful of the faults of `make faults`, on a short stream: the counts are those of an undisturbed run."""

import os

import pytest

from faults.campaign import Campaign
from faults.faults import FAULTS, NOTHING
from faults.stream import choose
from faults.verdict import Account, Findings
from support.servers import PostgresqlServer, ServerCannotStart

IMAGES = 1_000


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Short runs, each about as long as it takes to drop a thousand images."""
    return Campaign(choose(IMAGES, seed=3), seed=3, findings=tmp_path_factory.mktemp("findings"))


@pytest.fixture(scope="module")
def undisturbed(campaign: Campaign) -> Account:
    """What a run counts in which nothing happens."""
    try:
        PostgresqlServer().remove()  # skips the test if PostgreSQL is missing; a run starts its own
    except ServerCannotStart as error:
        is_ci = os.environ.get("CI", "").lower() in {"true", "1"}
        (pytest.fail if is_ci else pytest.skip)(str(error))
    row, found = campaign.run(NOTHING)
    assert found is not None, row.trouble
    return found


def test_an_undisturbed_run_counts_every_image_once(undisturbed: Account) -> None:
    assert len(undisturbed.fates) == IMAGES
    assert {fate.state for (fate,) in undisturbed.fates.values()} == {"done"}
    assert {fate.classifications for (fate,) in undisturbed.fates.values()} == {1}
    assert undisturbed.same_bytes == 0
    assert {numbers["complete"] for numbers in undisturbed.differentials.values()} == {1}


@pytest.mark.parametrize("name", ["broker-wiped", "database-killed", "database-connections-reset"])
def test_a_fault_changes_no_count(campaign: Campaign, undisturbed: Account, name: str) -> None:
    (fault,) = (fault for fault in FAULTS if fault.name == name)

    row, _ = campaign.run(fault, undisturbed)

    assert (row.trouble, row.findings) == (None, Findings())
    assert row.times > 0
    assert row.recovery
    assert max(row.recovery) < 60
