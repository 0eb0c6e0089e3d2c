"""What brings an open page of a slide up to date."""

from pydantic import Field

from smearcount.db.engine.database import Database
from smearcount.db.queries.slides import slide
from smearcount.db.review.history import slide_history
from smearcount.db.review.lost_calls import lost_calls
from smearcount.db.review.sign_off import slide_events
from smearcount.differential.signing.policy import SigningRules
from smearcount.web.auth.access import Person
from smearcount.web.pages.parts.summary import Summary
from smearcount.web.pages.rendering import fill
from smearcount.web.schemas.base import Answer
from smearcount.web.schemas.reviews import ReviewAnswer


class SlideUpdate(Answer):
    """What an open page needs to look as if it were opened now."""

    html: str = Field(description="The parts beside the gallery, each an element with an id.")
    reviews: list[ReviewAnswer] = Field(description="Reviews that the page did not know, oldest first.")
    action: str | None = Field(
        description="The action of the reviews that this very request made; null if it made none."
    )
    last_review: int = Field(description="The newest review that `html` counts; 0 if there is none.")
    images: str = Field(
        description="See `Summary.images_state`; where it is another one, the gallery is to be read anew."
    )


def slide_update(
    database: Database,
    slide_id: int,
    rules: SigningRules,
    person: Person,
    *,
    seen_review: int,
    action: str | None = None,
) -> SlideUpdate:
    """Return the update of a page that knows the reviews up to `seen_review`, 0 for none, as `person` sees it.

    Raises:
        UnknownSlide: there is no such slide.
    """
    # The events first: a page that names a sign-off as its newest event must show the slide as signed.
    events = slide_events(database, slide_id)
    found = slide(database, slide_id)
    lost = lost_calls(database, slide_id)
    last_review = found.last_review_id or 0
    unseen = slide_history(database, slide_id) if last_review > seen_review else []
    summary = Summary(found, rules)
    return SlideUpdate(
        html=fill("parts/summary.html", summary=summary, events=events, lost_calls=lost, person=person),
        reviews=[ReviewAnswer.of(review) for review in unseen if review.id > seen_review],
        action=action,
        last_review=last_review,
        images=summary.images_state,
    )
