"""One batch of images: count the attempt, classify, store, and find the image that kills its worker."""

from collections.abc import Sequence
from dataclasses import dataclass

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.ingest import results
from smearcount.db.records import Classified, NotVisible, Outcome, Refusal, Refused, WorkItem
from smearcount.inbox.mounts import Mounts
from smearcount.models.inference.classifier import Classifier
from smearcount.worker.pipeline import classify

#: After so many attempts that a worker began and never finished, an image is quarantined.
MOST_ATTEMPTS = 3

#: The largest number that a database takes for an id.
_LARGEST_ID = 2**63 - 1

_NO_MOUNTS = Mounts()


@dataclass(frozen=True)
class BatchSummary:
    """How many images of a batch were dealt with, and how; images that were not open any more are in none of the numbers."""

    slide_id: int | None = None
    classified: int = 0
    refused: int = 0
    #: The images that this machine does not show as they were journalled, and why.
    not_visible: tuple[tuple[WorkItem, NotVisible], ...] = ()

    @property
    def visible(self) -> int:
        """Number of images that this machine shows as they were journalled."""
        return self.classified + self.refused

    def __add__(self, other: "BatchSummary") -> "BatchSummary":
        """Add up two parts of a batch."""
        return BatchSummary(
            self.slide_id or other.slide_id,
            self.classified + other.classified,
            self.refused + other.refused,
            self.not_visible + other.not_visible,
        )


def process_batch(
    database: Database,
    classifier: Classifier,
    worker: str,
    image_ids: Sequence[int],
    trace: str | None = None,
    mounts: Mounts = _NO_MOUNTS,
) -> BatchSummary:
    """Classify and store the images of a batch that are still open.

    The queue delivers a batch again after its worker died or hung. Any of its images may be the cause then, so each is tried
    alone: the next death shows which one it is, and the others are counted. After MOST_ATTEMPTS the image is given up.

    Args:
        database: where the images are journalled.
        classifier: the model that classifies them.
        worker: name of this machine, which each result keeps.
        image_ids: the batch; what can be no id of an image is left out, since anybody on the broker can send a message.
        trace: id of the message that the batch came with.
        mounts: where this machine sees the inboxes.

    Raises:
        DatabaseUnavailable: the images under way were not stored; the batch should be delivered again.
    """
    fresh, tried_before = results.begin_fresh(database, list(filter(_is_id, image_ids)), mounts)
    summary = _attempt(database, classifier, worker, fresh, trace) if fresh else BatchSummary()
    for item in sorted(tried_before, key=lambda item: item.attempts):
        if item.attempts >= MOST_ATTEMPTS:
            results.store(database, classifier.identity, worker, [_given_up(item)])
            summary += BatchSummary(item.slide_id, refused=1)
        else:
            begun = results.begin(database, [item.image_id], mounts)
            summary += _attempt(database, classifier, worker, begun, trace)
    return summary


def _is_id(value: object) -> bool:
    return type(value) is int and 0 < value <= _LARGEST_ID


def _attempt(
    database: Database, classifier: Classifier, worker: str, begun: Sequence[WorkItem], trace: str | None
) -> BatchSummary:
    outcomes, spent = classify(begun, classifier)
    summary = _summary(begun, outcomes)
    try:
        results.store(database, classifier.identity, worker, outcomes, spent if spent.images else None, trace)
    except DatabaseUnavailable:
        # The images are not at fault. If this cannot be written either, they are tried alone next time, which is only slower.
        results.give_up_attempt(database, [item.image_id for item in begun])
        raise
    return summary


def _summary(begun: Sequence[WorkItem], outcomes: Sequence[Outcome]) -> BatchSummary:
    missed = {outcome.image_id: outcome for outcome in outcomes if isinstance(outcome, NotVisible)}
    return BatchSummary(
        begun[0].slide_id if begun else None,
        classified=sum(isinstance(outcome, Classified) for outcome in outcomes),
        refused=sum(isinstance(outcome, Refused) for outcome in outcomes),
        not_visible=tuple((item, missed[item.image_id]) for item in begun if item.image_id in missed),
    )


def _given_up(item: WorkItem) -> Refused:
    reason = f"{item.attempts} attempts to classify it ended with the worker dead, hung or failing; retry tries again"
    return Refused(item.image_id, Refusal("kills-worker", reason))
