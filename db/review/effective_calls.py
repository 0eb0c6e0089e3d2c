"""Which call of an image counts: the newest model's, or a person's where there is one.

The views `automatic_calls` and `reviewed_calls` hold the same rules for people who query with SQL.
"""

from sqlalchemy import ColumnElement, String, and_, case, literal, not_, select
from sqlalchemy.orm import aliased

from smearcount.db.schema import Classification, Image, ReviewRow
from smearcount.differential.classes import ReviewClass

#: The automatic call of an image, once joined by IS_CALL, and its newest review, by IS_REVIEW.
CALL = aliased(Classification, name="call")
REVIEW = aliased(ReviewRow, name="review")

_NEWER_CALL = aliased(Classification, name="newer_call")
_NEWER_REVIEW = aliased(ReviewRow, name="newer_review")

#: Conditions to join an image's call and its review; an image without them has none.
IS_CALL = and_(
    CALL.image_id == Image.id,
    not_(select(_NEWER_CALL.id).where(_NEWER_CALL.image_id == CALL.image_id, _NEWER_CALL.id > CALL.id).exists()),
)
IS_NEWEST_REVIEW = not_(
    select(_NEWER_REVIEW.id).where(_NEWER_REVIEW.image_id == REVIEW.image_id, _NEWER_REVIEW.id > REVIEW.id).exists()
)
IS_REVIEW = and_(REVIEW.image_id == Image.id, IS_NEWEST_REVIEW)

# Written into the statement: PostgreSQL takes an expression with a parameter for another one where it groups by it.
_UNIDENTIFIED = literal(ReviewClass.UNIDENTIFIED.value, String, literal_execute=True)

#: The `ReviewClass` of a counted image by the model, and by whoever has the last word.
AUTOMATIC_CLASS: ColumnElement[str] = case((CALL.identified, CALL.cell_class), else_=_UNIDENTIFIED)
EFFECTIVE_CLASS: ColumnElement[str] = case(
    (REVIEW.cell_class.is_not(None), REVIEW.cell_class), (CALL.identified, CALL.cell_class), else_=_UNIDENTIFIED
)
