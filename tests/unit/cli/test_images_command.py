"""`smearcount images`: the names of its columns are part of the interface."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from smearcount.cli.commands.results.images import _by_column, _shown_reason, _shown_state
from smearcount.db.records import ImageLine
from smearcount.db.schema import ImageState
from smearcount.differential.tally import Calls

AT = datetime(2026, 1, 1, tzinfo=UTC)

LINE = ImageLine(
    id=1, slide="S-1", path="S-1/a.jpg", state=ImageState.DONE, cell_class="monocyte", confidence=0.9, identified=True,
    threshold=0.8, ood_score=1.25, analyzer_label=None, attempts=1, reason_code=None, reason=None, duplicate_of=None,
    seen_at=AT, finished_at=AT, calls=Calls.AUTOMATIC, automatic_class="monocyte", automatic_identified=True,
    reviewed=None, reviewer=None, reviewed_at=None, review_reason=None,
)  # fmt: skip
REVIEWED = replace(LINE, calls=Calls.REVIEWED, reviewer="Ada", reviewed_at=AT)


def test_the_columns_keep_their_names_and_order() -> None:
    row = _by_column(LINE)
    assert list(row) == [
        "id", "slide", "path", "state", "cell_class", "confidence", "identified", "threshold", "unlikeness",
        "analyzer_label", "attempts", "reason_code", "reason", "duplicate_of", "seen_at", "finished_at", "calls",
        "automatic_class", "automatic_identified", "reviewed", "reviewer", "reviewed_at", "review_reason",
    ]  # fmt: skip
    assert row["unlikeness"] == 1.25


@pytest.mark.parametrize(
    ("line", "state", "reason"),
    [
        (LINE, "done", None),
        (replace(LINE, identified=False, confidence=0.5), "unidentified", "confidence under 0.8"),
        (replace(LINE, identified=False), "unidentified", "unlike the cells that the model knows"),
        (replace(REVIEWED, reviewed="ig", cell_class="ig"), "done", "called ig by Ada"),
        (
            replace(REVIEWED, reviewed="unidentified", identified=False, review_reason="smudge"),
            "unidentified",
            "called unidentified by Ada: smudge",
        ),
        (replace(LINE, state=ImageState.QUARANTINED, identified=None, reason="truncated"), "quarantined", "truncated"),
    ],
)
def test_state_and_reason_say_whose_call_it_is(line: ImageLine, state: str, reason: str | None) -> None:
    assert (_shown_state(line), _shown_reason(line)) == (state, reason)
