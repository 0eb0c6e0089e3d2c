"""How the installation is doing: what the commands `status` and `doctor` show."""

from datetime import UTC, datetime

from fastapi import APIRouter, Depends

from smearcount.db.queries.counts import inbox_lines, progress
from smearcount.differential.errors import SmearcountError
from smearcount.web.dependencies import TheCheckup, TheFacilities, person
from smearcount.web.schemas.system import CheckAnswer, Checks, InboxAnswer, ModelInUse, QueueAnswer, SystemAnswer
from smearcount.web.services import Facilities

router = APIRouter(prefix="/system", tags=["system"], dependencies=[Depends(person)])


@router.get("", summary="How the installation is doing")
def get_system(given: TheFacilities) -> SystemAnswer:
    """Return where the images of each inbox are, how full the queue is, and which model classifies."""
    now = datetime.now(UTC)
    database, model = given.database, given.model()
    return SystemAnswer(
        version=given.version,
        inboxes=[InboxAnswer.of(inbox, progress(database, inbox=inbox.name), now) for inbox in inbox_lines(database)],
        queue=_queue(given),
        model=None if model is None else ModelInUse.of(model),
    )


@router.get("/checks", summary="Is everything well?")
def get_checks(checkup: TheCheckup) -> Checks:
    """Look at database, broker, model and inboxes, as `smearcount doctor` does; takes seconds.

    To see whether file events arrive, a hidden file is made in each inbox and removed again.
    """
    found = checkup.latest()
    return Checks(checks=[CheckAnswer.of(check) for check in found.checks], checked_at=found.at)


def _queue(given: Facilities) -> QueueAnswer | None:
    try:
        queue = given.queue()
    except SmearcountError:
        return None
    return QueueAnswer(waiting=queue.waiting, held=queue.held)
