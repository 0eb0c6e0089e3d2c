"""Signing a slide off: a person agrees with a result that they saw, and what they agreed with is kept as it was.

It locks the slide first (see `db.engine.locking`) and writes in one transaction. Nothing changes the slide's images and
reviews meanwhile, so what is compared is what is kept.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, func, select

from smearcount.db.engine.database import Database
from smearcount.db.queries.tallies import SLIDE, BothTallies, tallies
from smearcount.db.review.checks import checked_name, checked_text
from smearcount.db.review.errors import ResultChanged, ReviewConflict, ReviewRefused, SignatureHindered, SlideSigned
from smearcount.db.review.history import conflicts_since
from smearcount.db.review.records import ResultChange
from smearcount.db.review.result import Seen, SeenImage, SlideResult, image_changes, seen_images
from smearcount.db.review.sign_off import SlideEvent, add_event, lock_slide, signer_of
from smearcount.db.review.withdrawal import require_not_withdrawn
from smearcount.db.schema import Classification, Image, Inbox, Model, Slide, SlideEventKind
from smearcount.differential.model import ModelUsed
from smearcount.differential.report import report
from smearcount.differential.signing.policy import ObstacleCode, SigningRules, hindrances, obstacles
from smearcount.differential.signing.snapshot import SignedResult


def sign(  # noqa: PLR0913 (all but the first two are given by name)
    database: Database,
    slide_id: int,
    *,
    reviewer: str,
    rules: SigningRules,
    comment: str | None = None,
    seen: str | None = None,
    seen_review_id: int | None = None,
    acknowledged: Collection[ObstacleCode] = (),
) -> SlideEvent:
    """Sign a slide off.

    Its cells cannot be reclassified until it is reopened. A later change of its images ends the signature.

    Args:
        database: where slides are kept.
        slide_id: the slide.
        reviewer: name of the person.
        rules: the site's settings, by which the result is made and kept.
        comment: what the person adds, if anything.
        seen: token of the result that the person saw (see `db.review.result`); None where `seen_review_id` is given.
        seen_review_id: newest review of the slide that the person saw, 0 if there was none; for callers without a
            token, since it does not tell which images were seen.
        acknowledged: what the person knows to stand in the way.

    Raises:
        UnknownSlide: there is no such slide.
        SlideSigned: the slide is signed already.
        ResultChanged: the result is not the one that the person saw.
        ReviewConflict: another person has reclassified cells since, which this one has not seen.
        SignatureHindered: something stands in the way that is refused, or that the person has not acknowledged.
        ReviewRefused: the slide is still being counted or withdrawn, nothing says what was seen, or an argument is impossible.
    """
    who, text = checked_name(reviewer), checked_text(comment)
    was_seen = None if seen is None else Seen.of(seen)
    with database.writing(durable=True) as connection:
        completed_at = lock_slide(connection, slide_id)
        if completed_at is None:
            raise ReviewRefused(f"slide {slide_id} is still being counted; sign it when it is complete")
        require_not_withdrawn(connection, slide_id)
        signer = signer_of(connection, slide_id)
        if signer is not None:
            raise SlideSigned(f"slide {slide_id} is signed by {signer} already")
        images = seen_images(connection, slide_id)
        result = SlideResult.of(images)
        digest = result.digest(rules.counts)
        if was_seen is not None:
            if was_seen.digest != digest:
                raise ResultChanged(_change(connection, slide_id, images, was_seen))
        elif seen_review_id is not None:
            unseen = conflicts_since(connection, slide_id, seen_review_id)
            if unseen:
                raise ReviewConflict(unseen)
        else:
            raise ReviewRefused(
                "a signature agrees with a result that was seen: name it, by the digest that the slide came with"
            )
        both = _tallies(connection, slide_id)
        found = obstacles(both.reviewed, result.uncalled, rules)
        hindering = hindrances(found, acknowledged)
        if hindering:
            raise SignatureHindered(found, hindering)
        signed = SignedResult.made(
            automatic=report(both.automatic, rules.counts),
            reviewed=report(both.reviewed, rules.counts),
            reviewed_cells=both.reviewed_cells,
            models=_models(connection, result.model_ids),
            rules=rules,
        )
        return add_event(
            connection,
            slide_id,
            SlideEventKind.SIGN_OFF,
            who,
            text,
            completed_at=completed_at,
            counted=result.counted,
            model_ids=sorted(result.model_ids),
            last_review_id=result.last_review_id or None,
            digest=digest,
            snapshot=signed.as_json(),
            acknowledged=[{"code": one.code.value, "message": one.message} for one in found],
            last_image_id=connection.execute(select(func.max(Image.id))).scalar_one(),
        )


def _change(connection: Connection, slide_id: int, images: Sequence[SeenImage], seen: Seen) -> ResultChange:
    first_calls = connection.execute(
        select(Classification.image_id)
        .join(Image, Image.id == Classification.image_id)
        .where(Image.slide_id == slide_id, Classification.id <= seen.last_call_id)
    ).scalars()
    return ResultChange(
        images=image_changes(images, set(first_calls), seen),
        reviews=tuple(conflicts_since(connection, slide_id, seen.last_review_id)),
    )


def _tallies(connection: Connection, slide_id: int) -> BothTallies:
    rows = connection.execute(select(*SLIDE).join(Inbox).where(Slide.id == slide_id)).all()
    return tallies(connection, rows)[0]


def _models(connection: Connection, ids: Sequence[int]) -> tuple[ModelUsed, ...]:
    """Return the models with these ids, in their order."""
    rows = connection.execute(
        select(
            Model.id,
            Model.name,
            Model.version,
            Model.sha256,
            Model.preprocessing,
            Model.threshold,
            Model.card_sha256,
            Model.weights_sha256,
        ).where(Model.id.in_(ids))
    )
    found = {
        row.id: ModelUsed(
            row.name, row.version, row.sha256, row.preprocessing, row.threshold, row.card_sha256, row.weights_sha256
        )
        for row in rows
    }
    return tuple(found[model_id] for model_id in ids)
