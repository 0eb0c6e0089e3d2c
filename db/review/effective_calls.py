"""Which call of an image counts: a person's newest one, or else that of the newest model.

The views `automatic_calls` and `reviewed_calls` follow the same rules, for people who query with SQL.
"""

from sqlalchemy import ColumnElement, String, and_, case, literal, not_, select
from sqlalchemy.orm import aliased

from smearcount.db.schema import Classification, Image, ReviewRow
from smearcount.differential.classes import ReviewClass

#: The automatic call of an image, if joined by IS_CALL, and its newest review, if joined by IS_REVIEW.
CALL = aliased(Classification, name="call")
REVIEW = aliased(ReviewRow, name="review")

_NEWER_CALL = aliased(Classification, name="newer_call")
_NEWER_REVIEW = aliased(ReviewRow, name="newer_review")

#: Conditions to join an image with its automatic call and with its newest review.
IS_CALL = and_(
    CALL.image_id == Image.id,
    not_(select(_NEWER_CALL.id).where(_NEWER_CALL.image_id == CALL.image_id, _NEWER_CALL.id > CALL.id).exists()),
)
IS_NEWEST_REVIEW = not_(
    select(_NEWER_REVIEW.id).where(_NEWER_REVIEW.image_id == REVIEW.image_id, _NEWER_REVIEW.id > REVIEW.id).exists()
)
IS_REVIEW = and_(REVIEW.image_id == Image.id, IS_NEWEST_REVIEW)

# Written into the statement: if it were a parameter, PostgreSQL would take the selected expression for another one than that
# by which it groups.
_UNIDENTIFIED = literal(ReviewClass.UNIDENTIFIED.value, String, literal_execute=True)

#: The `ReviewClass` of a counted image: that of the model, and the one that counts.
AUTOMATIC_CLASS: ColumnElement[str] = case((CALL.identified, CALL.cell_class), else_=_UNIDENTIFIED)
EFFECTIVE_CLASS: ColumnElement[str] = case(
    (REVIEW.cell_class.is_not(None), REVIEW.cell_class), (CALL.identified, CALL.cell_class), else_=_UNIDENTIFIED
)
