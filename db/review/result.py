"""A slide's result as a person sees it, in one query: each image with the class as which it counts.

A sign-off agrees with a result that was seen. So whoever is shown a slide gets a token that names its result, and gives it
back with the signature. Its first part is a digest, which alone decides whether the result is still the same. The rest only
helps to tell what has changed otherwise: how many cells were counted, and the newest image, call and review of the slide. They
are stored under the slide's lock, so of one slide what has a greater id came later.
"""

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, bindparam, select

from smearcount.db.review.effective_calls import AUTOMATIC_CLASS, CALL, EFFECTIVE_CLASS, IS_CALL, IS_REVIEW, REVIEW
from smearcount.db.review.errors import ReviewRefused
from smearcount.db.review.records import ImageChanges
from smearcount.db.schema import Image, ImageState
from smearcount.differential.classes import ReviewClass
from smearcount.differential.settings import CountSettings

#: What `SlideResult.token` writes: the digest, then four numbers.
SEEN_FORM = r"[0-9a-f]{64}(\.[0-9]{1,18}){4}"

# Built once: building it takes longer than running it. Superseded images are in it, because they tell what is gone.
_IMAGES = (
    select(
        Image.id,
        Image.state,
        CALL.id.label("call_id"),
        CALL.model_id,
        AUTOMATIC_CLASS.label("automatic"),
        EFFECTIVE_CLASS.label("effective"),
        REVIEW.id.label("review_id"),
        REVIEW.cell_class.label("reviewed"),
    )
    .select_from(Image)
    .outerjoin(CALL, IS_CALL)
    .outerjoin(REVIEW, IS_REVIEW)
    .where(Image.slide_id == bindparam("slide"))
    .order_by(Image.id)
)


@dataclass(frozen=True, slots=True)
class SeenImage:
    """One image of a slide, as it counts."""

    id: int
    state: ImageState
    #: The automatic call and its model; None if no model has classified the image.
    call_id: int | None
    model_id: int | None
    #: The class by the model and the one that counts; meaningless unless the image is counted.
    automatic: ReviewClass
    effective: ReviewClass
    #: The newest review, and the class that it gave; None without a review, and None if it went back to the model's.
    review_id: int | None
    reviewed: str | None

    @property
    def is_counted(self) -> bool:
        """Whether the image is in the count."""
        return self.state is ImageState.DONE


@dataclass(frozen=True, slots=True)
class SlideResult:
    """What makes the result of a slide, without the site's settings."""

    #: SHA-256 (hexadecimal) over all images that are not overwritten: state, calls and model.
    images_sha256: str
    counted: int
    #: Newest automatic call and newest review of the slide; 0 if there is none.
    last_call_id: int
    last_review_id: int
    #: The newest image of the slide, in any state; 0 if there is none.
    last_image_id: int
    #: Counted cells in no class that nobody has called.
    uncalled: int
    #: The models of the calls that count, newest first.
    model_ids: tuple[int, ...]

    @classmethod
    def of(cls, images: Sequence[SeenImage]) -> Self:
        """Return what the images of a slide make."""
        counted = [image for image in images if image.is_counted]
        lines = "".join(_line(image) for image in images if image.state is not ImageState.SUPERSEDED)
        return cls(
            images_sha256=hashlib.sha256(lines.encode()).hexdigest(),
            counted=len(counted),
            last_call_id=max((image.call_id or 0 for image in images), default=0),
            last_review_id=max((image.review_id or 0 for image in images), default=0),
            last_image_id=max((image.id for image in images), default=0),
            uncalled=sum(image.effective is ReviewClass.UNIDENTIFIED and image.reviewed is None for image in counted),
            model_ids=tuple(sorted({image.model_id for image in counted if image.model_id}, reverse=True)),
        )

    def digest(self, settings: CountSettings) -> str:
        """Return the SHA-256 (hexadecimal) of the result: the images and the settings by which they are counted."""
        rules = json.dumps(settings.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(f"{self.images_sha256}\n{rules}".encode()).hexdigest()

    def token(self, settings: CountSettings) -> str:
        """Return what names this result in a sign-off; it has the form SEEN_FORM."""
        numbers = (self.counted, self.last_image_id, self.last_call_id, self.last_review_id)
        return ".".join(map(str, (self.digest(settings), *numbers)))


@dataclass(frozen=True, slots=True)
class Seen:
    """The result that a person saw, as the token names it."""

    digest: str
    counted: int
    last_image_id: int
    last_call_id: int
    last_review_id: int

    @classmethod
    def of(cls, token: str) -> Self:
        """Read a token.

        Raises:
            ReviewRefused: it is none.
        """
        if not re.fullmatch(SEEN_FORM, token):
            raise ReviewRefused("what was seen is named by the token that comes with the slide, unchanged")
        digest, *numbers = token.split(".")
        return cls(digest, *map(int, numbers))


def seen_images(connection: Connection, slide_id: int) -> list[SeenImage]:
    """Return all images of a slide, by their ids, overwritten ones among them."""
    return [
        SeenImage(
            row.id, ImageState(row.state), row.call_id, row.model_id, ReviewClass(row.automatic),
            ReviewClass(row.effective), row.review_id, row.reviewed,
        )
        for row in connection.execute(_IMAGES, {"slide": slide_id})
    ]  # fmt: skip


def slide_result(connection: Connection, slide_id: int) -> SlideResult:
    """Return what makes the result of a slide."""
    return SlideResult.of(seen_images(connection, slide_id))


def image_changes(images: Sequence[SeenImage], first_calls: Collection[int], seen: Seen) -> ImageChanges:
    """Compare the images of a slide with what a person saw of it.

    Args:
        images: all images of the slide, as they are now.
        first_calls: ids of those of them that had an automatic call when the person looked.
        seen: what the person saw.
    """
    counted = [image for image in images if image.is_counted]
    stayed = [image for image in counted if image.id in first_calls]
    gone = max(seen.counted - len(stayed), 0)
    # An image that was overwritten before the person looked is among them; if so, it cannot be told which are gone.
    candidates = tuple(image.id for image in images if not image.is_counted and image.id in first_calls)
    return ImageChanges(
        added=tuple(image.id for image in counted if image.id not in first_calls),
        gone=gone,
        gone_ids=candidates if len(candidates) == gone else (),
        others=sum(
            image.id > seen.last_image_id
            for image in images
            if image.state in {ImageState.QUARANTINED, ImageState.DUPLICATE}
        ),
        called_anew=tuple(image.id for image in stayed if (image.call_id or 0) > seen.last_call_id),
    )


def _line(image: SeenImage) -> str:
    if not image.is_counted:
        return f"{image.id} {image.state}\n"
    called = image.reviewed is not None
    return f"{image.id} {image.automatic} {image.effective} {called} {image.model_id}\n"
