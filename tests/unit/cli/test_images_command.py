"""`smearcount images`: the names of its columns are part of the interface."""

from datetime import UTC, datetime

from smearcount.cli.commands.results.images import _by_column
from smearcount.db.records import ImageLine
from smearcount.db.schema import ImageState

AT = datetime(2026, 1, 1, tzinfo=UTC)

LINE = ImageLine(
    id=1, slide="S-1", path="S-1/a.jpg", state=ImageState.DONE, cell_class="monocyte", confidence=0.9, identified=True,
    threshold=0.8, ood_score=1.25, analyzer_label=None, attempts=1, reason_code=None, reason=None, duplicate_of=None,
    seen_at=AT, finished_at=AT,
)  # fmt: skip


def test_the_columns_keep_their_names_and_order() -> None:
    row = _by_column(LINE)
    assert list(row) == [
        "id", "slide", "path", "state", "cell_class", "confidence", "identified", "threshold", "unlikeness",
        "analyzer_label", "attempts", "reason_code", "reason", "duplicate_of", "seen_at", "finished_at",
    ]  # fmt: skip
    assert row["unlikeness"] == 1.25
