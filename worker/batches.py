"""Working through a batch: count the attempt, classify, store; and find the image that kills its worker."""

from collections.abc import Sequence

from db import results
from db.database import Database
from db.errors import DatabaseUnavailable
from db.records import ModelUsed, Refusal, Refused, WorkItem
from models.classifier import Classifier
from worker.pipeline import classify

#: An image with which a worker began so often, and never came back, is quarantined.
MOST_ATTEMPTS = 3


def work_through(database: Database, classifier: Classifier, worker: str, image_ids: Sequence[int]) -> None:
    """Classify and store what is still open of a batch.

    A batch comes again after its worker died or hung. Then any of its images may be the cause, so each is tried alone:
    the one at fault is known after the next death, and the others are counted. An image is given up after
    MOST_ATTEMPTS.

    Raises:
        DatabaseUnavailable: nothing of what was under way was stored; the batch should come again.
    """
    fresh, tried_before = results.begin_fresh(database, image_ids)
    if fresh:
        _attempt(database, classifier, worker, fresh)
    for item in sorted(tried_before, key=lambda item: item.attempts):
        if item.attempts >= MOST_ATTEMPTS:
            results.store(database, _model_used(classifier), worker, [_given_up(item)])
        else:
            _attempt(database, classifier, worker, results.begin(database, [item.image_id]))


def _attempt(database: Database, classifier: Classifier, worker: str, begun: Sequence[WorkItem]) -> None:
    outcomes, spent = classify(begun, classifier)
    try:
        results.store(database, _model_used(classifier), worker, outcomes, spent)
    except DatabaseUnavailable:
        # Not the images' fault. If even this cannot be written, they are tried alone next time, which is only slower.
        results.give_up_attempt(database, [item.image_id for item in begun])
        raise


def _given_up(item: WorkItem) -> Refused:
    reason = f"{item.attempts} attempts to classify it ended with the worker dead, hung or failing; retry tries again"
    return Refused(item.image_id, Refusal("kills-worker", reason))


def _model_used(classifier: Classifier) -> ModelUsed:
    identity = classifier.identity
    return ModelUsed(identity.name, identity.version, identity.sha256, identity.preprocessing, identity.threshold)
