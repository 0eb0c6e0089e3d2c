"""From images to outcomes: read, check, decode, classify as one tensor; without queue and database."""

import hashlib
from collections.abc import Iterator, Sequence
from time import perf_counter

import numpy as np

from smearcount.db.records import Classified, NotVisible, Outcome, Refusal, Refused, TimeSpent, WorkItem
from smearcount.inbox.reading import OpenFolders
from smearcount.models.errors import ImageRefused
from smearcount.models.inference.classifier import Classifier
from smearcount.models.inference.colour import mean_colours
from smearcount.models.preprocessing import Pixels, decode_cell
from smearcount.worker.reading import other_copy, read_image


def classify(items: Sequence[WorkItem], classifier: Classifier) -> tuple[list[Outcome], TimeSpent]:
    """Classify images as one batch.

    An image that cannot be classified does not affect the others.

    Returns:
        One outcome per image, those that could not be classified first, and the time spent.
    """
    outcomes: list[Outcome] = []
    decoded: list[tuple[int, str, Pixels]] = []
    reading = decoding = network = 0.0
    with OpenFolders() as folders:
        for item in items:
            started = perf_counter()
            data = read_image(item, folders)
            read = perf_counter()
            reading += read - started
            if isinstance(data, Refused | NotVisible):
                outcomes.append(data)
                continue
            sha256 = hashlib.sha256(data).hexdigest()
            if (not_visible := other_copy(item, sha256)) is not None:
                outcomes.append(not_visible)
                continue
            try:
                decoded.append((item.image_id, sha256, decode_cell(data)))
            except ImageRefused as refused:
                outcomes.append(Refused(item.image_id, Refusal(refused.code, str(refused)), sha256))
            decoding += perf_counter() - read
    if decoded:
        started = perf_counter()
        outcomes += _calls(decoded, classifier)
        network = perf_counter() - started
    # An image that is not visible here counts as work on the machine that sees it.
    visible = sum(not isinstance(outcome, NotVisible) for outcome in outcomes)
    return outcomes, TimeSpent(visible, reading, decoding, network)


def _calls(decoded: Sequence[tuple[int, str, Pixels]], classifier: Classifier) -> Iterator[Classified]:
    pixels = np.stack([one for _, _, one in decoded])
    calls = classifier.classify(pixels)
    for (image_id, sha256, _), call, (red, green, blue) in zip(
        decoded, calls, mean_colours(pixels).tolist(), strict=True
    ):
        yield Classified(
            image_id=image_id,
            sha256=sha256,
            cell_class=call.cell_class,
            confidence=call.confidence,
            probabilities=call.probabilities,
            identified=call.identified,
            ood_score=call.ood_score,
            colour=(red, green, blue),
            colour_distance=call.colour_distance,
            sharpness=call.sharpness,
        )
