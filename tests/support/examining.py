"""Examinations for the tests of the forms: an ordinary one, and any that hypothesis can think of."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from smearcount.differential.classes import WBC_CLASSES, CellClass, ReviewClass
from smearcount.differential.counts_document import REVIEW_REMARK, ExcludedCell, Remark, RemarkedCell
from smearcount.differential.forms.examination import Export, Review, SlideExamination, examination
from smearcount.differential.forms.remarks import Remarks
from smearcount.differential.model import ModelIdentity
from smearcount.differential.settings import ADULT_REFERENCE_RANGES, CountSettings
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import Calls, SlideTally

# Give every field: the environment of the person who runs the tests must not change them.
DEFAULTS = CountSettings(reference_ranges=ADULT_REFERENCE_RANGES, minimum_wbc=100, nrbc_correction_at=5.0)
MODEL = ModelIdentity("smearnet", "1.0.0", "0123456789abcdef" * 4)
EXPORT = Export(key="2026-03-01/7", at=datetime(2026, 3, 1, 9, 5, tzinfo=UTC), version="0.1.0")
SIGNED_AT = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)

#: Names with characters that have a meaning in spreadsheets, HL7 or HTML, and names that cannot be printed.
HOSTILE_NAMES = (
    "",
    " ",
    "=1+1",
    "@SUM(A1)",
    "-2+3",
    "\t=1",
    '=HYPERLINK("http://x","y")',
    "a|b^c~d\\e&f",
    "\\F\\",
    "\\X0D\\",
    "x\rOBX|99|NM|26511-6||100\r",
    "line\nbreak",
    "\x00\x1b[2J",
    "<script>alert(1)</script>",
    "\ud800",
    "\u202etxt.exe",
    "Müller 李 🩸",
    "'quoted'",
    '"',
)


#: What people may write, for whatever reason: commands of spreadsheets, HL7 and HTML, line ends of all kinds, other remarks.
HOSTILE_TEXTS = (
    *HOSTILE_NAMES,
    "=cmd|' /C calc'!A0",
    "smudge\n=1+1\n+2",
    "first\r\nsecond\n\n  third",
    "\\.br\\",
    "\\H\\bold\\N\\",
    "x\nNTE|9|L|signed\rOBX|1|NM|26511-6||100",
    "</li><img src=x onerror=alert(1)>{{ 7 * 7 }}",
    "**bold** [link](javascript:alert(1))",
    " | 2026-01-01 00:00:00 UTC, Ada, sign-off: all is well",
    "vertical\x0btab, form\x0cfeed, next\x85line, \u2028 and \u2029",
    "x" * 4000,
)

#: Remarks on the ordinary examination.
REMARKS = Remarks(
    said=(
        Remark(
            kind=REVIEW_REMARK,
            reviewer="A. Schmidt",
            at=datetime(2026, 3, 1, 8, 50, tzinfo=UTC),
            text="indented nucleus",
            cells=(
                RemarkedCell(cell=17, reviewed=ReviewClass.IG, holds=True),
                RemarkedCell(cell=23, reviewed=ReviewClass.IG, holds=True),
            ),
        ),
        Remark(
            kind="comment",
            reviewer="M. Müller",
            at=datetime(2026, 3, 1, 8, 58, tzinfo=UTC),
            text="stain a little pale\n& thick at the edge",
            cells=(),
        ),
    ),
)


def tally(**changes: Any) -> SlideTally:
    """Return an ordinary, complete slide of 100 WBC, or one that differs from it."""
    ordinary: dict[str, Any] = {
        "slide": "S-1234",
        "status": SlideStatus.COMPLETE,
        "models": (MODEL,),
        "cells": {
            CellClass.NEUTROPHIL: 78,
            CellClass.LYMPHOCYTE: 14,
            CellClass.MONOCYTE: 5,
            CellClass.EOSINOPHIL: 2,
            CellClass.BASOPHIL: 1,
            CellClass.ERYTHROBLAST: 6,
            CellClass.PLATELET: 9,
        },
        "unidentified": 3,
        "quarantined": 0,
        "duplicates": 0,
        "pending": 0,
        "first_image_at": datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
        "completed_at": datetime(2026, 3, 1, 8, 31, 2, 500000, tzinfo=UTC),
    }
    return SlideTally(**(ordinary | changes))


def reviewed_tally(**changes: Any) -> SlideTally:
    """Return the ordinary slide after review: two of the unidentified are immature granulocytes, one a neutrophil."""
    cells = {**tally().cells, CellClass.NEUTROPHIL: 79, CellClass.IG: 2}
    return tally(**({"cells": cells, "unidentified": 0, "calls": Calls.REVIEWED} | changes))


def examined(
    *,
    automatic: SlideTally | None = None,
    reviewed: SlideTally | None = None,
    inbox: str = "Lab",
    remarks: Remarks | None = None,
    **review: Any,
) -> SlideExamination:
    """Return the ordinary examination, with what is given of it changed."""
    automatic = automatic or tally()
    return examination(
        slide_id=12,
        inbox=inbox,
        automatic=automatic,
        reviewed=reviewed or automatic,
        review=Review(**({"cells": 3 if reviewed else 0} | review)),
        remarks=remarks or Remarks(),
        settings=DEFAULTS,
    )


def signed(**changes: Any) -> SlideExamination:
    """Return the ordinary examination, reviewed and signed, with what is given of it changed."""
    ordinary: dict[str, Any] = {"reviewed": reviewed_tally(), "signed_by": "M. Müller", "signed_at": SIGNED_AT}
    return examined(**(ordinary | changes))


names = st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from(HOSTILE_NAMES)
numbers = st.integers(0, 3) | st.integers(0, 500) | st.integers(0, 2_000_000)
moments = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 - hypothesis wants the bounds without a zone
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
models = st.builds(ModelIdentity, names, names, st.text("0123456789abcdef", min_size=64, max_size=64))
ranges = st.none() | st.tuples(st.floats(0, 100), st.floats(0, 100)).map(lambda bounds: tuple(sorted(bounds)))
any_settings = st.builds(
    CountSettings,
    reference_ranges=st.dictionaries(st.sampled_from(WBC_CLASSES), ranges),
    minimum_wbc=st.integers(1, 400),
    nrbc_correction_at=st.floats(0.1, 100),
)
texts = st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from(HOSTILE_TEXTS)
cell_ids = st.integers(1, 10**9)
remarked_cells = st.builds(
    RemarkedCell, cell=cell_ids, reviewed=st.none() | st.sampled_from(ReviewClass), holds=st.booleans()
)
reasons = st.builds(
    Remark,
    kind=st.just(REVIEW_REMARK),
    reviewer=names,
    at=moments,
    text=texts,
    cells=st.lists(remarked_cells, min_size=1, max_size=3).map(tuple),
)
comments = st.builds(
    Remark,
    kind=st.sampled_from(["comment", "sign-off", "reopen"]),
    reviewer=names,
    at=moments,
    text=texts,
    cells=st.just(()),
)
excluded_cells = st.builds(
    ExcludedCell,
    cell=cell_ids,
    automatic=st.sampled_from(ReviewClass),
    reviewed=st.just(ReviewClass.UNIDENTIFIED),
    reviewer=names,
    at=moments,
    reason=st.none() | texts,
)
any_remarks = st.builds(
    Remarks,
    said=st.lists(reasons | comments, max_size=3).map(tuple),
    excluded=st.lists(excluded_cells, max_size=3).map(tuple),
)
exports = st.builds(Export, key=names, at=moments, version=names)


@st.composite
def any_examination(draw: st.DrawFn) -> SlideExamination:
    """Draw a slide in any state of review, with any counts and any names."""
    is_signed = draw(st.booleans())
    slide = draw(names)
    status = SlideStatus.COMPLETE if is_signed else draw(st.sampled_from(SlideStatus))

    def any_tally(calls: Calls) -> SlideTally:
        return SlideTally(
            slide=slide,
            status=status,
            models=tuple(draw(st.lists(models, max_size=2))),
            cells=draw(st.dictionaries(st.sampled_from(CellClass), numbers)),
            unidentified=draw(numbers),
            quarantined=draw(numbers),
            duplicates=draw(numbers),
            pending=draw(numbers),
            first_image_at=draw(st.none() | moments),
            completed_at=draw(st.none() | moments),
            calls=calls,
        )

    return examination(
        slide_id=draw(st.integers(1, 10**9)),
        inbox=draw(names),
        automatic=any_tally(Calls.AUTOMATIC),
        reviewed=any_tally(Calls.REVIEWED),
        review=Review(
            cells=draw(numbers),
            signed_by=draw(names) if is_signed else None,
            signed_at=draw(moments) if is_signed else None,
            was_signed_before=draw(st.booleans()),
        ),
        remarks=draw(any_remarks),
        settings=draw(any_settings),
    )
