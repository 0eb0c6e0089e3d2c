"""From images to outcomes: read, check, decode, classify as one tensor. Knows neither queue nor database."""

import hashlib
from collections.abc import Sequence

import numpy as np

from db.records import Classified, Outcome, Postponed, Refusal, Refused, WorkItem
from models.classifier import Classifier
from models.colour import mean_colours
from models.errors import ImageRefused
from models.preprocessing import Pixels, decode_cell
from worker.reading import RealFolders, read_image


def classify(items: Sequence[WorkItem], classifier: Classifier) -> list[Outcome]:
    """Return one outcome per image; an image that cannot be classified never keeps the others from it."""
    outcomes: list[Outcome] = []
    decoded: list[tuple[int, str, Pixels]] = []
    folders: RealFolders = {}
    for item in items:
        data = read_image(item, folders)
        if isinstance(data, Refused | Postponed):
            outcomes.append(data)
            continue
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            decoded.append((item.image_id, sha256, decode_cell(data)))
        except ImageRefused as refused:
            outcomes.append(Refused(item.image_id, Refusal(refused.code, str(refused)), sha256))
    if decoded:
        pixels = np.stack([one for _, _, one in decoded])
        calls = classifier.classify(pixels)
        outcomes += [
            Classified(
                image_id=image_id,
                sha256=sha256,
                cell_class=call.cell_class,
                confidence=call.confidence,
                probabilities=call.probabilities,
                identified=call.identified,
                unlikeness=call.unlikeness,
                colour=(red, green, blue),
            )
            for (image_id, sha256, _), call, (red, green, blue) in zip(
                decoded, calls, mean_colours(pixels).tolist(), strict=True
            )
        ]
    return outcomes
