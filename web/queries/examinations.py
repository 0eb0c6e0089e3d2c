"""Slides in the shape that reports and exports take, in a number of queries that does not depend on their number."""

from collections.abc import Sequence

from smearcount.db.engine.database import Database
from smearcount.db.errors import UnknownSlide
from smearcount.db.queries.remarks import slide_remarks
from smearcount.db.queries.slides import SlideFilter, SlideSummary, slide_page
from smearcount.db.review.errors import ReviewRefused
from smearcount.db.review.sign_off import times_signed
from smearcount.differential.forms.examination import Review, SlideExamination, examination
from smearcount.differential.forms.remarks import Remarks
from smearcount.differential.settings import CountSettings


def examinations(
    database: Database, slide_ids: Sequence[int], settings: CountSettings, *, withdrawn: bool = False
) -> list[SlideExamination]:
    """Return the examinations of slides, in the order of the ids; an id that is repeated counts once.

    Args:
        database: where slides are kept.
        slide_ids: the slides.
        settings: by which slides are counted that are not signed.
        withdrawn: whether withdrawn slides are shown, too; forms that leave the house never show them.

    Raises:
        UnknownSlide: one of them does not exist.
        ReviewRefused: one of them is withdrawn.
    """
    wanted = list(dict.fromkeys(slide_ids))
    signed = times_signed(database, wanted)
    page = slide_page(database, SlideFilter(ids=wanted), limit=max(len(wanted), 1))
    found = {slide.id: slide for slide in page.slides}
    missing = [slide_id for slide_id in wanted if slide_id not in found]
    if missing:
        raise UnknownSlide(f"there is no slide {missing[0]}")
    refused = [slide_id for slide_id in wanted if found[slide_id].withdrawn_at is not None and not withdrawn]
    if refused:
        raise ReviewRefused(f"slide {refused[0]} is withdrawn, so it has no report and no export; restore it first")
    remarks = slide_remarks(database, {slide.id: slide.last_review_id for slide in page.slides})
    return [_examination(found[slide_id], signed.get(slide_id, 0), remarks[slide_id], settings) for slide_id in wanted]


def _examination(slide: SlideSummary, times: int, remarks: Remarks, settings: CountSettings) -> SlideExamination:
    is_signed = slide.signed_by is not None
    was_signed_before = times > int(is_signed)
    signed = slide.signed
    if signed is not None:
        # Whatever happened to settings and models since: what was signed is what is told.
        return SlideExamination(
            slide_id=slide.id,
            inbox=slide.inbox,
            status=slide.status,
            automatic=signed.automatic,
            reviewed=signed.reviewed if signed.reviewed_cells else None,
            reviewed_cells=signed.reviewed_cells,
            signed_by=slide.signed_by,
            signed_at=slide.signed_at,
            was_signed_before=was_signed_before,
            remarks=remarks,
            version=signed.version,
        )
    return examination(
        slide_id=slide.id,
        inbox=slide.inbox,
        automatic=slide.automatic,
        reviewed=slide.reviewed,
        review=Review(
            cells=slide.reviewed_cells,
            signed_by=slide.signed_by,
            signed_at=slide.signed_at,
            was_signed_before=was_signed_before,
        ),
        remarks=remarks,
        settings=settings,
    )
