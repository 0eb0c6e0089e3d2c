"""Routes of the installation's state: what the commands `status` and `doctor` show."""

from datetime import UTC, datetime

from fastapi import APIRouter, Depends

from smearcount.db.queries.inboxes import inbox_lines, progress
from smearcount.differential.errors import SmearcountError
from smearcount.web.dependencies import TheDiagnostics, TheServices, person
from smearcount.web.problems import described
from smearcount.web.schemas.system import CheckAnswer, Checks, InboxAnswer, ModelInUse, QueueAnswer, SystemAnswer
from smearcount.web.services import Services

router = APIRouter(prefix="/system", tags=["system"], dependencies=[Depends(person)])


@router.get("", summary="How the installation is doing")
def get_system(services: TheServices) -> SystemAnswer:
    """Return where the images of each inbox are, how full the queue is, and which model classifies."""
    now = datetime.now(UTC)
    database, model = services.database, services.model()
    return SystemAnswer(
        version=services.version,
        inboxes=[InboxAnswer.of(inbox, progress(database, inbox=inbox.name), now) for inbox in inbox_lines(database)],
        queue=_queue(services),
        model=None if model is None else ModelInUse.of(model),
    )


@router.post("/checks", summary="Is everything well?", responses=described("csrf", "foreign-origin"))
def make_checks(diagnostics: TheDiagnostics) -> Checks:
    """Look at database, broker, model and inboxes, as `smearcount doctor` does; takes seconds.

    To see whether file events arrive, a hidden file is made in each inbox and removed again.
    """
    found = diagnostics.latest()
    return Checks(checks=[CheckAnswer.of(check) for check in found.checks], checked_at=found.at)


def _queue(services: Services) -> QueueAnswer | None:
    try:
        queue = services.queue()
    except SmearcountError:
        return None
    return QueueAnswer(waiting=queue.waiting, held=queue.held)
