"""Working through a batch: count the attempt, classify, store; and find the image that kills its worker."""

from collections.abc import Sequence
from dataclasses import dataclass

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.ingest import results
from smearcount.db.records import Classified, ModelUsed, Outcome, Refusal, Refused, Unseen, WorkItem
from smearcount.inbox.mounts import Mounts
from smearcount.models.inference.classifier import Classifier
from smearcount.worker.pipeline import classify

#: An image with which a worker began so often, and never came back, is quarantined.
MOST_ATTEMPTS = 3

_NO_MOUNTS = Mounts()


@dataclass(frozen=True)
class Worked:
    """What a worker made of a batch; images that were not open any more are in none of the numbers."""

    slide_id: int | None = None
    classified: int = 0
    refused: int = 0
    #: What this machine does not show as it was journalled, and why.
    unseen: tuple[tuple[WorkItem, Unseen], ...] = ()

    @property
    def seen(self) -> int:
        """Images that this machine shows as they were journalled."""
        return self.classified + self.refused

    def __add__(self, other: "Worked") -> "Worked":
        """Sum up."""
        return Worked(
            self.slide_id or other.slide_id,
            self.classified + other.classified,
            self.refused + other.refused,
            self.unseen + other.unseen,
        )


def work_through(
    database: Database,
    classifier: Classifier,
    worker: str,
    image_ids: Sequence[int],
    trace: str | None = None,
    mounts: Mounts = _NO_MOUNTS,
) -> Worked:
    """Classify and store what is still open of a batch.

    A batch comes again after its worker died or hung. Then any of its images may be the cause, so each is tried alone:
    the one at fault is known after the next death, and the others are counted. An image is given up after
    MOST_ATTEMPTS.

    Args:
        database: where the images are journalled.
        classifier: what calls them.
        worker: name of this machine, which each result keeps.
        image_ids: the batch.
        trace: id of the message that it came with.
        mounts: where this machine sees the inboxes.

    Raises:
        DatabaseUnavailable: nothing of what was under way was stored; the batch should come again.
    """
    fresh, tried_before = results.begin_fresh(database, image_ids, mounts)
    worked = _attempt(database, classifier, worker, fresh, trace) if fresh else Worked()
    for item in sorted(tried_before, key=lambda item: item.attempts):
        if item.attempts >= MOST_ATTEMPTS:
            results.store(database, _model_used(classifier), worker, [_given_up(item)])
            worked += Worked(item.slide_id, refused=1)
        else:
            begun = results.begin(database, [item.image_id], mounts)
            worked += _attempt(database, classifier, worker, begun, trace)
    return worked


def _attempt(
    database: Database, classifier: Classifier, worker: str, begun: Sequence[WorkItem], trace: str | None
) -> Worked:
    outcomes, spent = classify(begun, classifier)
    worked = _worked(begun, outcomes)
    try:
        results.store(database, _model_used(classifier), worker, outcomes, spent if spent.images else None, trace)
    except DatabaseUnavailable:
        # Not the images' fault. If even this cannot be written, they are tried alone next time, which is only slower.
        results.give_up_attempt(database, [item.image_id for item in begun])
        raise
    return worked


def _worked(begun: Sequence[WorkItem], outcomes: Sequence[Outcome]) -> Worked:
    unseen = {outcome.image_id: outcome for outcome in outcomes if isinstance(outcome, Unseen)}
    return Worked(
        begun[0].slide_id if begun else None,
        classified=sum(isinstance(outcome, Classified) for outcome in outcomes),
        refused=sum(isinstance(outcome, Refused) for outcome in outcomes),
        unseen=tuple((item, unseen[item.image_id]) for item in begun if item.image_id in unseen) if unseen else (),
    )


def _given_up(item: WorkItem) -> Refused:
    reason = f"{item.attempts} attempts to classify it ended with the worker dead, hung or failing; retry tries again"
    return Refused(item.image_id, Refusal("kills-worker", reason))


def _model_used(classifier: Classifier) -> ModelUsed:
    identity = classifier.identity
    return ModelUsed(identity.name, identity.version, identity.sha256, identity.preprocessing, identity.threshold)
