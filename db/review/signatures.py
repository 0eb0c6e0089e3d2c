"""Whether a slide is signed: its last sign-off or reopening is a sign-off, given for the completion that it still has.

The view `signatures` follows the same rule, for people who query with SQL.
"""

from sqlalchemy import and_, not_, select
from sqlalchemy.orm import aliased

from smearcount.db.schema import Slide, SlideEventKind, SlideEventRow

#: The last sign-off of a slide that was not reopened since, if joined by IS_SIGN_OFF.
SIGN_OFF = aliased(SlideEventRow, name="sign_off")

_LATER = aliased(SlideEventRow, name="later_event")

IS_SIGN_OFF = and_(
    SIGN_OFF.slide_id == Slide.id,
    SIGN_OFF.kind == SlideEventKind.SIGN_OFF,
    not_(
        select(_LATER.id)
        .where(
            _LATER.slide_id == SIGN_OFF.slide_id,
            _LATER.kind.in_([SlideEventKind.SIGN_OFF, SlideEventKind.REOPEN]),
            _LATER.id > SIGN_OFF.id,
        )
        .exists()
    ),
)
#: Condition that this sign-off still holds. A change of a slide's count clears its completion, and a later completion has
#: another time.
SIGN_OFF_HOLDS = SIGN_OFF.completed_at == Slide.completed_at
