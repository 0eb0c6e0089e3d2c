"""Slides and their differentials as the API shows them."""

from collections.abc import Iterable
from typing import Any, Final, Self

from pydantic import Field

from smearcount.db.queries.slides import SlideSummary
from smearcount.db.review.endings import SignatureEnd
from smearcount.db.review.lost_calls import LostCall
from smearcount.db.review.sign_off import SlideEvent
from smearcount.db.schema import SlideEventKind
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.flags import Flag
from smearcount.differential.forms.spreadsheet import SLIDES_COLUMNS
from smearcount.differential.line import line
from smearcount.differential.model import ModelIdentity, ModelUsed
from smearcount.differential.ratios import RangeFlag
from smearcount.differential.report import SlideReport
from smearcount.differential.review_rules import ReviewReason
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import Obstacle, ObstacleCode, Policy, SigningRules
from smearcount.differential.signing.snapshot import SignedResult
from smearcount.differential.status import SlideStatus, Status
from smearcount.differential.tally import Calls
from smearcount.web.schemas.base import Answer, Moment

#: The columns of the command `slides`, and what an id and a signature add to them.
SLIDE_COLUMNS: Final = (
    "id",
    *SLIDES_COLUMNS[:-1],
    "signed_by",
    "signed_at",
    "changed_since_signed",
    SLIDES_COLUMNS[-1],
)

_PERCENTS = {"neutrophil": 61.0, "lymphocyte": 28.5, "monocyte": 6.5, "eosinophil": 3.0, "basophil": 0.5, "ig": 0.5}


class FlagAnswer(Answer):
    """Something to know before relying on a count."""

    code: str = Field(
        description="Changes its meaning only with `schema_version` of the counts.", examples=["high:neutrophil"]
    )
    message: str = Field(
        description="For people.", examples=["Neutrophil high: 81.0 % (162 of 200), reference 39-75 %"]
    )

    @classmethod
    def of(cls, flag: Flag) -> Self:
        """Show a flag."""
        return cls(code=flag.code, message=flag.message)


class ReviewReasonAnswer(Answer):
    """A rule of the site by which a slide asks for a person."""

    code: str = Field(description="The rule; docs/reference.md lists them.", examples=["nrbc"])
    message: str = Field(description="For people.", examples=["2 nRBC seen"])

    @classmethod
    def of(cls, reason: ReviewReason) -> Self:
        """Show a reason."""
        return cls(code=reason.code, message=reason.message)


class SlideAnswer(Answer):
    """One slide of the list. The numbers are the reviewed ones: a person's call counts before the model's."""

    id: int = Field(description="Names the slide in every path.", examples=[1])
    slide: str = Field(description="Name of the slide, as its folder spells it; may identify a patient.")
    inbox: str = Field(description="Name of the watched folder it came from.")
    status: Status = Field(description="`counting` while images may still come, `complete`, or `signed` by a person.")
    images: int = Field(description="All files of the slide, whatever became of them.", examples=[214])
    wbc_counted: int = Field(description="Leukocytes in a class: the denominator of every percentage.", examples=[200])
    percents: dict[CellClass, float | None] = Field(
        description="Percent of the WBC counted, not rounded; null without any WBC.", examples=[_PERCENTS]
    )
    cells: dict[CellClass, int] = Field(description="Cells in each of the eight classes.")
    nrbc_per_100_wbc: float | None = Field(description="Nucleated red cells per 100 WBC; null without any WBC.")
    platelets: int = Field(description="Platelets seen; no platelet count of the blood.")
    unidentified: int = Field(description="Cells in no class, which wait for a person's call or got `unidentified`.")
    quarantined: int = Field(description="Files that could not be used.")
    duplicates: int = Field(description="Files with the very bytes of another one of the slide; not counted.")
    pending: int = Field(description="Images that still wait for the classifier.")
    flags: list[FlagAnswer] = Field(description="What to know before relying on the numbers.")
    review_reasons: list[ReviewReasonAnswer] = Field(
        description="Why the slide asks for a person, by the site's rules; empty while counting and once it is signed."
    )
    reviewed_cells: int = Field(description="Cells that a person has called.")
    signed_by: str | None = Field(description="Who signed; null unless the status is `signed`.")
    signed_at: Moment | None = Field(description="When, in UTC.")
    changed_since_signed: bool = Field(
        description="It was signed, but images came or changed afterwards: it needs signing again."
    )
    withdrawn_at: Moment | None = Field(
        description="When a person withdrew it, so that lists and exports leave it out; null while it counts."
    )
    first_image_at: Moment = Field(description="When its first image was seen, in UTC.")
    completed_at: Moment | None = Field(description="When nothing was pending any more, in UTC; null while counting.")
    calls: Calls = Field(
        description="Whose calls the numbers are made of: `reviewed` where people have called cells, else `automatic`."
    )

    @classmethod
    def of(cls, slide: SlideSummary, settings: CountSettings) -> Self:
        """Show a slide."""
        return cls(**_line(slide, settings))


class SlideList(Answer):
    """A page of slides."""

    slides: list[SlideAnswer]
    next: str | None = Field(
        description="Send it as `after` to get the next page; null at the end. The header Link holds the same as a URL."
    )
    cursor: int | None = Field(
        default=None,
        description="With `changed_since` or `signed_since`: what to send the next time, at once if `slides` is full; null "
        "otherwise. CSV has it in the header X-Cursor.",
    )


class IntervalAnswer(Answer):
    """Two bounds, in percent."""

    low: float | None
    high: float | None


class DifferentialRowAnswer(Answer):
    """One WBC class; all but the count in percent of the WBC counted, not rounded."""

    cell_class: CellClass = Field(validation_alias="class", serialization_alias="class")
    count: int = Field(description="Cells counted.", examples=[122])
    percent: float | None = Field(description="Null without any WBC.", examples=[61.0])
    ci95: IntervalAnswer = Field(description="Exact (Clopper-Pearson) 95 % interval.")
    reference: IntervalAnswer | None = Field(description="The site's reference range; null where it has set none.")
    flag: RangeFlag | None = Field(
        description="How the percentage lies outside the reference range: `low` or `high` if its whole interval does, "
        "`borderline` if it cannot be told from normal; null within."
    )


class ModelAnswer(Answer):
    """A classifier."""

    name: str = Field(examples=["smearcount"])
    version: str = Field(examples=["2.0.0"])
    sha256: str = Field(description="Of the model in hex: over its card, its weights and its likeness file.")

    @classmethod
    def of(cls, model: ModelIdentity) -> Self:
        """Show a model."""
        return cls(name=model.name, version=model.version, sha256=model.sha256)


class CountsAnswer(Answer):
    """The counts of one slide, as differential/counts.schema.json describes them."""

    schema_version: int = Field(description="Of that schema, and of what the codes mean.", examples=[2])
    slide: str
    status: SlideStatus
    model: ModelAnswer | None = Field(description="The newest model that made a call; null before the first.")
    cells: dict[CellClass, int] = Field(description="Cells in each of the eight classes.")
    wbc_counted: int = Field(description="The denominator of every percentage.")
    differential: list[DifferentialRowAnswer] = Field(description="The six WBC classes in customary order.")
    nrbc_per_100_wbc: float | None = Field(description="Nucleated red cells per 100 WBC.")
    wbc_correction_factor: float | None = Field(
        description="What to multiply an analyzer's WBC count with; null below the number of nRBC that the site has set."
    )
    platelets: int
    unidentified: int
    pending: int
    quarantined: int
    duplicates: int
    flags: list[FlagAnswer]
    review_reasons: list[ReviewReasonAnswer]
    first_image_at: Moment | None
    completed_at: Moment | None
    calls: Calls = Field(description="Whose calls are counted; `automatic` also where nobody has called a cell.")

    @classmethod
    def of(cls, result: SlideReport) -> Self:
        """Show a slide's counts."""
        return cls.model_validate(result.as_json())


class DifferentialAnswer(Answer):
    """Both differentials of a slide side by side."""

    slide_id: int
    automatic: CountsAnswer = Field(description="As the model called every cell.")
    reviewed: CountsAnswer = Field(description="With a person's calls before the model's.")
    reviewed_cells: int = Field(description="Cells that a person has called.")
    changed: list[CellClass] = Field(description="Classes whose number of cells the review has changed.")

    @classmethod
    def of(cls, slide: SlideSummary, settings: CountSettings) -> Self:
        """Show the differentials of a slide."""
        both = slide.reports(settings)
        before, after = both.automatic, both.reviewed
        return cls(
            slide_id=slide.id,
            automatic=CountsAnswer.of(before),
            reviewed=CountsAnswer.of(after),
            reviewed_cells=slide.reviewed_cells,
            changed=[one for one in CellClass if before.cells[one] != after.cells[one]],
        )


class ObstacleAnswer(Answer):
    """Something that stands in the way of a signature."""

    code: ObstacleCode = Field(
        description="Send it in `acknowledged` to sign all the same, where the policy allows it."
    )
    message: str = Field(description="For people.", examples=["3 cells are unidentified, and nobody has called them"])
    policy: Policy = Field(description="`acknowledge` where the person who signs has to say so, or `refused`.")

    @classmethod
    def of(cls, obstacle: Obstacle) -> Self:
        """Show an obstacle."""
        return cls(code=obstacle.code, message=obstacle.message, policy=obstacle.policy)


class AcknowledgedAnswer(Answer):
    """Something that stood in the way of a signature, and that the person who signed knew."""

    code: str
    message: str = Field(description="As it was then.")


class ModelUsedAnswer(Answer):
    """A classifier with everything else that decided its calls."""

    name: str
    version: str
    sha256: str = Field(description="Of the model in hex: over its card, its weights and its likeness file.")
    preprocessing: str = Field(description="Version of the preprocessing.")
    threshold: float = Field(description="Confidence under which a cell is unidentified.")
    card_sha256: str | None = Field(description="Of the content of its model card, in hex; null where it is not known.")
    weights_sha256: str | None = Field(description="Of its weights, in hex; null where it is not known apart.")

    @classmethod
    def of(cls, model: ModelUsed) -> Self:
        """Show a model."""
        return cls(
            name=model.name,
            version=model.version,
            sha256=model.sha256,
            preprocessing=model.preprocessing,
            threshold=model.threshold,
            card_sha256=model.card_sha256,
            weights_sha256=model.weights_sha256,
        )


class SignedAnswer(Answer):
    """The result that was signed, as it was; no later setting, range or model changes it."""

    automatic: CountsAnswer = Field(description="As the model called every cell.")
    reviewed: CountsAnswer = Field(description="With a person's calls before the model's.")
    reviewed_cells: int = Field(description="Cells that a person had called.")
    models: list[ModelUsedAnswer] = Field(description="Newest first.")
    settings: dict[str, Any] = Field(description="The settings of the differential: reference ranges, minimum WBC, ...")
    version: str = Field(description="Of smearcount.")

    @classmethod
    def of(cls, signed: SignedResult) -> Self:
        """Show a signed result."""
        return cls(
            automatic=CountsAnswer.of(signed.automatic),
            reviewed=CountsAnswer.of(signed.reviewed),
            reviewed_cells=signed.reviewed_cells,
            models=[ModelUsedAnswer.of(model) for model in signed.models],
            settings=dict(signed.settings),
            version=signed.version,
        )


class SignatureEndAnswer(Answer):
    """What ended a signature that nobody took back: new content in the slide."""

    images_came: int = Field(description="Files that came to the slide.")
    images_changed: int = Field(description="Files that were overwritten.")
    images_gone: int = Field(description="Files whose new version belongs to another slide, or to none.")
    at: Moment | None = Field(description="When the first of them was seen, in UTC; null where that is not known.")

    @classmethod
    def of(cls, end: SignatureEnd) -> Self:
        """Show the end of a signature."""
        return cls(images_came=end.came, images_changed=end.changed, images_gone=end.gone, at=end.at)


class SlideEventAnswer(Answer):
    """What a person did with a slide, or what the watcher found."""

    id: int
    kind: SlideEventKind
    reviewer: str = Field(
        description="The person; `smearcount` for `content-changed` and `rename`, which the watcher found."
    )
    text: str | None = Field(description="The comment, the reason, or what was found.")
    at: Moment = Field(description="When, in UTC.")
    counted: int | None = Field(description="For a sign-off: how many cells were counted when it was given.")
    last_review_id: int | None = Field(description="For a sign-off: the newest review that it knew; null without any.")
    digest: str | None = Field(description="For a sign-off: SHA-256 of the result that was seen and signed.")
    signed: SignedAnswer | None = Field(
        description="For a sign-off: what was signed; null where an earlier version stored it."
    )
    acknowledged: list[AcknowledgedAnswer] = Field(
        description="For a sign-off: what stood in its way and was acknowledged."
    )
    ended: SignatureEndAnswer | None = Field(
        description="For a sign-off that new content in the slide has ended: what came. Null for all others."
    )

    @classmethod
    def of(cls, event: SlideEvent) -> Self:
        """Show an event."""
        return cls(
            id=event.id,
            kind=event.kind,
            reviewer=event.reviewer,
            text=event.text,
            at=event.at,
            counted=event.counted,
            last_review_id=event.last_review_id,
            digest=event.digest,
            signed=None if event.snapshot is None else SignedAnswer.of(SignedResult.of(event.snapshot)),
            acknowledged=[AcknowledgedAnswer.model_validate(one) for one in event.acknowledged],
            ended=None if event.ended is None else SignatureEndAnswer.of(event.ended),
        )


class LostCallAnswer(Answer):
    """A person's call of a cell whose file holds other bytes by now, and which nobody has called anew."""

    review_id: int
    cell: int = Field(description="Id of the image that was called; its state is `superseded`.")
    path: str = Field(description="Path within the inbox; may identify a patient.")
    cell_class: ReviewClass = Field(serialization_alias="class")
    reviewer: str
    reason: str | None
    reviewed_at: Moment = Field(description="In UTC.")
    same_picture: int | None = Field(
        description="Id of the counted cell of the slide with the very same bytes, to which `bring-back` gives the call; "
        "null if there is none."
    )

    @classmethod
    def of(cls, lost: LostCall) -> Self:
        """Show a lost call."""
        return cls(
            review_id=lost.review_id,
            cell=lost.image_id,
            path=lost.path,
            cell_class=lost.cell_class,
            reviewer=lost.reviewer,
            reason=lost.reason,
            reviewed_at=lost.reviewed_at,
            same_picture=lost.same_picture,
        )


class SlideDetail(SlideAnswer):
    """One slide with both differentials and what people did with it."""

    last_review_id: int | None = Field(description="Newest review of its cells; null without any.")
    digest: str = Field(
        description="Names the result that this answer shows: a SHA-256 over the images, their calls and the settings, "
        "and numbers that help to tell what has changed. Send it as `seen_digest` with a sign-off."
    )
    obstacles: list[ObstacleAnswer] = Field(
        description="What stands in the way of a signature; empty while the slide is signed."
    )
    differential: DifferentialAnswer
    lost_calls: list[LostCallAnswer] = Field(
        description="Calls of people whose images have changed since, oldest first."
    )
    renamed_to: int | None = Field(
        description="The slide that has this slide's files since their folder was renamed; null if it has its own."
    )
    events: list[SlideEventAnswer] = Field(description="What happened to the slide, oldest first.")

    @classmethod
    def made(cls, slide: SlideSummary, rules: SigningRules, events: list[SlideEvent], lost: list[LostCall]) -> Self:
        """Show a slide in full."""
        return cls(
            **_line(slide, rules.counts),
            last_review_id=slide.last_review_id,
            digest=slide.digest(rules.counts),
            obstacles=[ObstacleAnswer.of(obstacle) for obstacle in slide.obstacles(rules)],
            differential=DifferentialAnswer.of(slide, rules.counts),
            lost_calls=[LostCallAnswer.of(one) for one in lost],
            renamed_to=slide.renamed_to,
            events=[SlideEventAnswer.of(event) for event in events],
        )


def slide_rows(slides: Iterable[SlideSummary], settings: CountSettings) -> list[dict[str, object]]:
    """Return the values of each slide by SLIDE_COLUMNS."""
    rows = []
    for slide in slides:
        row = line(slide.reviewed, settings, inbox=slide.inbox, reviewed_cells=slide.reviewed_cells).as_json()
        percents = {f"{name}_percent": percent for name, percent in row.pop("percents").items()}
        own = {
            "flags": [flag.code for flag in slide.flags(settings)],
            "id": slide.id,
            "status": slide.status,
            "signed_by": slide.signed_by,
            "signed_at": slide.signed_at,
            "changed_since_signed": slide.changed_since_signed,
        }
        rows.append({**row, **percents, **own})
    return rows


def _line(slide: SlideSummary, settings: CountSettings) -> dict[str, Any]:
    shown = line(slide.reviewed, settings, inbox=slide.inbox, reviewed_cells=slide.reviewed_cells)
    return {
        "id": slide.id,
        "slide": slide.name,
        "inbox": slide.inbox,
        "status": slide.status,
        "images": shown.images,
        "wbc_counted": shown.wbc_counted,
        "percents": dict(shown.percents),
        "cells": dict(slide.reviewed.cells),
        "nrbc_per_100_wbc": shown.nrbc_per_100_wbc,
        "platelets": shown.platelets,
        "unidentified": shown.unidentified,
        "quarantined": shown.quarantined,
        "duplicates": shown.duplicates,
        "pending": shown.pending,
        "flags": [FlagAnswer.of(flag) for flag in slide.flags(settings)],
        "review_reasons": [ReviewReasonAnswer.of(reason) for reason in shown.review_reasons],
        "reviewed_cells": slide.reviewed_cells,
        "signed_by": slide.signed_by,
        "signed_at": slide.signed_at,
        "changed_since_signed": slide.changed_since_signed,
        "withdrawn_at": slide.withdrawn_at,
        "first_image_at": slide.first_image_at,
        "completed_at": slide.completed_at,
        "calls": shown.calls,
    }
